"""A folder of pictures as people keep it: captions in `metadata.jsonl` or `.txt` files, and kohya's `10_word class` subfolders.

Kohya's layout (kohya-ss/sd-scripts, docs/train_README-en.md, "Training with multiple classes and multiple targets"): one subfolder
is one subject, several are several concepts of one LoRA, each with the word and the class of its name. The number is how often
a picture is seen an epoch. Steps are counted here, and of one folder it changes nothing; between folders it balances, and only
by its proportion: 10 and 5 are 2 and 1.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import gcd
from pathlib import Path

from storage.captions import MAX_BYTES, CaptionsRefused, Written, decoded, of_metadata, refuse_strangers
from storage.domain.captions import clean
from storage.domain.errors import LorasmithError
from storage.domain.orders import MAX_PICTURES

MOST_FILES = 500
"""A folder with more files than this is not a set of pictures of one subject."""
MOST_CONCEPTS = 10
"""40 pictures, and at least 4 of each."""
METADATA = "metadata.jsonl"
CAPTION_ENDINGS = (".txt", ".caption")
PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif")
_KOHYA = re.compile(r"(\d{1,4})_(\S+)(?: (.+))?")
NAMED_SO = "like `1_zorvex dog`: how often its pictures are seen, _, a new word, and after a space what it is"


@dataclass(frozen=True, kw_only=True)
class Held:
    """One of several concepts, as its folder holds it."""

    trigger: str
    class_word: str
    repeats: int
    """Of a round, divided by what all folders have in common."""
    names: tuple[str, ...]
    """Of its files, as in `Gathered.called`."""


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
    """From the name of a `10_word class` folder; of several the first."""
    class_word: str | None = None
    concepts: tuple[Held, ...] = ()
    """Of several such folders."""

    def called(self, file: Path) -> str:
        """How a picture is named: by its file, of several folders with the folder in front."""
        return f"{file.parent.name}/{file.name}" if self.concepts else file.name

    def trigger_of(self, name: str) -> str | None:
        """The word that calls what a picture shows, where its folder says it."""
        return next((concept.trigger for concept in self.concepts if name in concept.names), self.trigger)


def gathered(folder: Path) -> Gathered:
    """Look through a folder. Raises `LorasmithError` by name for what cannot be used."""
    if not folder.is_dir():
        raise LorasmithError(f"{folder} is not a folder")
    named = _subfolders(folder)
    if len(named) > 1:
        return _several(folder, named)
    inner, match = named[0] if named else (folder, _KOHYA.fullmatch(folder.resolve().name))
    trigger, class_word = (match[2], match[3]) if match and match[3] else (None, None)
    return replace(_of_one(inner), trigger=trigger, class_word=class_word)


def _subfolders(folder: Path) -> list[tuple[Path, re.Match[str]]]:
    """The subfolders that hold pictures, with the words in their names; none where the pictures lie in the folder itself."""
    inner = [p for p in sorted(folder.iterdir()) if p.is_dir() and not p.name.startswith(".")]
    named = [(p, match) for p in inner if (match := _KOHYA.fullmatch(p.name))]
    loose = any(p.is_file() and not p.name.startswith(".") for p in folder.iterdir())
    if loose and named:
        raise LorasmithError(f"{folder} holds files beside {named[0][0].name}; name the folder that is meant")
    known = {p for p, _ in named}
    plain = [p.name for p in inner if p not in known and not loose and _holds_pictures(p)]
    if plain:
        raise LorasmithError(
            f"{folder} holds pictures in subfolders, and {plain[0]} does not say how they are called. Name each subfolder "
            f"{NAMED_SO}; or name the one folder that is meant"
        )
    return named


def _holds_pictures(folder: Path) -> bool:
    """A folder that a training wrote into is none of them."""
    ours = (folder / ".lorasmith").is_dir()
    return not ours and any(p.suffix.lower() in PICTURES and p.is_file() for p in folder.iterdir())


def _several(folder: Path, named: Sequence[tuple[Path, re.Match[str]]]) -> Gathered:
    _require_apart(folder, named)
    parts = [(inner, match, _of_one(inner)) for inner, match in named]
    count = sum(file.suffix.lower() in PICTURES for _, _, found in parts for file in found.files)
    if count > MAX_PICTURES:
        raise LorasmithError(
            f"{folder} holds {count} pictures in {len(named)} folders; one LoRA learns from at most {MAX_PICTURES} in all. Take "
            f"{count - MAX_PICTURES} out, or train the folders one by one"
        )
    shared = gcd(*(int(match[1]) for _, match in named))
    return Gathered(
        files=tuple(file for _, _, found in parts for file in found.files),
        captions={f"{p.name}/{name}": text for p, _, found in parts for name, text in found.captions.items()},
        source={f"{p.name}/{name}": text for p, _, found in parts for name, text in found.source.items()},
        empty=tuple(f"{p.name}/{name}" for p, _, found in parts for name in found.empty),
        trigger=named[0][1][2],
        class_word=named[0][1][3],
        concepts=tuple(
            Held(
                trigger=match[2],
                class_word=match[3],
                repeats=int(match[1]) // shared,
                names=tuple(f"{inner.name}/{file.name}" for file in found.files),
            )
            for inner, match, found in parts
        ),
    )


def _require_apart(folder: Path, named: Sequence[tuple[Path, re.Match[str]]]) -> None:
    """Each folder with a word of its own, a class and a number."""
    if len(named) > MOST_CONCEPTS:
        raise LorasmithError(f"{folder} holds {len(named)} subjects; one LoRA learns at most {MOST_CONCEPTS}")
    for inner, match in named:
        if not match[3]:
            raise LorasmithError(
                f"{inner.name} says one word, and of several subjects each needs two: name it {NAMED_SO}"
            )
        if int(match[1]) == 0:
            raise LorasmithError(
                f"{inner.name}: its pictures would be seen 0 times; give 1 or more, or take the folder out"
            )
    words = Counter(match[2].casefold() for _, match in named)
    for inner, match in named:
        if words[match[2].casefold()] > 1:
            same = ", ".join(p.name for p, m in named if m[2].casefold() == match[2].casefold())
            raise LorasmithError(
                f"{same} have the same word {match[2]}, and {inner.name} is not told from the others by it: give each its own, "
                "or put their pictures into one folder"
            )


def _of_one(inner: Path) -> Gathered:
    files = sorted(p for p in inner.iterdir() if p.is_file() and not p.name.startswith("."))
    if not files:
        raise LorasmithError(f"there are no files in {inner}{_deeper(inner)}")
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
    )


def _deeper(folder: Path) -> str:
    """Where the pictures may lie instead: trainers keep them in `img` or `train` below."""
    inner = next((p for p in sorted(folder.iterdir()) if p.is_dir() and not p.name.startswith(".")), None)
    return f"; if the pictures lie in {inner.name}, name {inner}" if inner else ""


def _beside(files: Sequence[Path]) -> tuple[dict[str, str], dict[str, str]]:
    """Captions from files with a picture's name and another ending, or one more; a text without a picture is no caption."""
    found, source = {}, {}
    texts = {p.stem: p for p in files if p.suffix.lower() in CAPTION_ENDINGS}
    for picture in files:
        text = texts.get(picture.stem) or texts.get(picture.name)
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
