"""A folder of pictures as people keep it: captions in `metadata.jsonl` or `.txt` files, or kohya's `10_word class` subfolders.

Kohya's layout (kohya-ss/sd-scripts, docs/train_README-en.md, "DreamBooth"): the number is how often a picture is seen an epoch.
Steps are counted here and every picture is seen once before any is seen again, so of one folder the number changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from storage.captions import MAX_BYTES, CaptionsRefused, Written, decoded, of_metadata, refuse_strangers
from storage.domain.captions import clean
from storage.domain.errors import LorasmithError

MOST_FILES = 500
"""A folder with more files than this is not a set of pictures of one subject."""
METADATA = "metadata.jsonl"
CAPTION_ENDINGS = (".txt", ".caption")
_KOHYA = re.compile(r"(\d{1,4})_(\S+)(?: (.+))?")


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """What lies in a folder."""

    files: tuple[Path, ...]
    """Pictures, and whatever else may be one."""
    captions: dict[str, str]
    """By file name; empty ones are left out."""
    source: dict[str, str]
    """Which file a caption came from, by the picture's name."""
    empty: tuple[str, ...]
    """Pictures with an empty caption."""
    trigger: str | None = None
    """From the name of a `10_word class` folder."""
    class_word: str | None = None


def gathered(folder: Path) -> Gathered:
    """Look through a folder. Raises `LorasmithError` by name for what cannot be used."""
    if not folder.is_dir():
        raise LorasmithError(f"{folder} is not a folder")
    inner, trigger, class_word = _kohya(folder)
    files = sorted(p for p in inner.iterdir() if p.is_file() and not p.name.startswith("."))
    if not files:
        raise LorasmithError(f"there are no files in {inner}")
    if len(files) > MOST_FILES:
        raise LorasmithError(
            f"{inner} holds {len(files)} files; put the pictures of one subject into a folder of their own"
        )
    captions, source = _beside(files)
    said = _metadata(inner, files)
    captions, source = {**captions, **said.captions}, source | dict.fromkeys(said.captions, METADATA)
    used = {inner / METADATA} | {inner / name for name in source.values()}
    return Gathered(
        files=tuple(p for p in files if p not in used),
        captions={name: text for name, text in captions.items() if text},
        source=source,
        empty=tuple(name for name, text in captions.items() if not text),
        trigger=trigger,
        class_word=class_word,
    )


def _kohya(folder: Path) -> tuple[Path, str | None, str | None]:
    """The folder with the pictures, and the words in its name: it is the one `10_word class` folder in there, or itself."""
    named = [(p, m) for p in sorted(folder.iterdir()) if p.is_dir() and (m := _KOHYA.fullmatch(p.name))]
    if not named:
        match = _KOHYA.fullmatch(folder.resolve().name)
        return folder, *_words(match)
    if len(named) > 1:
        several = ", ".join(p.name for p, _ in named)
        raise LorasmithError(f"{folder} holds several subjects ({several}); name one of these folders")
    if any(p.is_file() and not p.name.startswith(".") for p in folder.iterdir()):
        raise LorasmithError(f"{folder} holds files beside {named[0][0].name}; name the folder that is meant")
    return named[0][0], *_words(named[0][1])


def _words(match: re.Match[str] | None) -> tuple[str | None, str | None]:
    return (match[2], match[3]) if match and match[3] else (None, None)


def _beside(files: Sequence[Path]) -> tuple[dict[str, str], dict[str, str]]:
    """Captions from files with a picture's name and another ending; a text without a picture is no caption."""
    found, source = {}, {}
    texts = {p.stem: p for p in files if p.suffix.lower() in CAPTION_ENDINGS}
    for picture in files:
        text = texts.get(picture.stem)
        if text is not None and picture.suffix.lower() not in (*CAPTION_ENDINGS, ".jsonl", ".json", ".npz"):
            found[picture.name] = clean(decoded(_bytes(text), text.name))
            source[picture.name] = text.name
    return found, source


def _metadata(folder: Path, files: Sequence[Path]) -> Written:
    path = folder / METADATA
    if not path.is_file():
        return Written(captions={})
    written = of_metadata(_bytes(path))
    refuse_strangers(written, [p.name for p in files], METADATA)
    return written


def _bytes(path: Path) -> bytes:
    """At most one byte more than is allowed: what is too long is refused by whoever reads it."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise CaptionsRefused(f"{path.name} cannot be read: {error.strerror}.") from error
