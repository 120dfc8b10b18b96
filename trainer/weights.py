"""Where the weights of a base model lie on this machine, and whether all of them are there and whole. Nothing is fetched here."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from storage.base_file import is_lora, read_base_file
from storage.domain.bases import BASES, PIPELINES, KnownBase
from storage.domain.errors import FileRefused, LorasmithError
from storage.lora_file import read_header

MAX_INDEX_BYTES = 1 << 22
"""The longest list of tensors of the bases is 121 kB."""


def hub_cache() -> Path:
    """The folder that every program with the hub's library shares: the same variables say where it is."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    hub = Path(os.environ.get("HF_HOME") or home / "huggingface")
    return Path(os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE") or hub / "hub").expanduser()


def copied(base: str) -> Path:
    """Where `lorasmith fetch BASE --from FOLDER` puts its copy: beside what came from the hub."""
    return hub_cache() / f"lorasmith--{base}"


def located(source: str) -> Path | None:
    """Folder or file of a base's weights here: the one named, or the cache's copy of `owner/name` or `owner/name@revision`."""
    if Path(source).is_absolute() or Path(source).exists():
        return Path(source) if Path(source).exists() else None
    name, _, revision = source.partition("@")
    home = hub_cache() / f"models--{name.replace('/', '--')}"
    folder = home / "snapshots" / (revision or _newest(home))
    return folder if folder.is_dir() else None


def _newest(home: Path) -> str:
    try:
        return (home / "refs" / "main").read_text().strip() or "-"
    except OSError:
        return "-"


def faults(place: Path | None, known: KnownBase) -> tuple[str, ...]:
    """What keeps a folder or file from being used as this base, in plain words; nothing where it is whole and of its family.

    Every file that the pipeline's own index names has to be there, and every file of weights has to be as long as its header
    says: a download or a copy that was cut off shows. Headers are read, weights are not.
    """
    if place is None:
        return ("it is not there",)
    if place.is_file():
        return _of_file(place, known)
    try:
        index = _json(place / "model_index.json")
    except ValueError as error:
        return (_LORA if _holds_lora(place) else f"it holds no base model: {error}",)
    kind = str(index.get("_class_name"))[:60]
    if kind != PIPELINES[known.family]:
        return (f"it holds a {kind}, and {known.title} is a {PIPELINES[known.family]}",)
    if index.get("is_distilled"):
        return (f"it holds the distilled model; training needs {known.hub}, and its LoRAs fit both",)
    named = [name for name, kind in index.items() if isinstance(kind, list) and kind and kind[0]]
    absent = tuple(f"model_index.json names no {name}" for name in known.parts if name not in named)
    parts = [name for name in named if name not in _UNUSED]
    return absent + tuple(fault for name in parts for fault in _part(place / name, name))


_LORA = "it holds a LoRA, not a base model; name the base that it was made for"


def _of_file(file: Path, known: KnownBase) -> tuple[str, ...]:
    try:
        read_base_file(file, known.family)
    except FileRefused as refused:
        return (str(refused),)
    except OSError as error:
        return (f"the file cannot be read: {error.strerror}",)
    return ()


def _holds_lora(folder: Path) -> bool:
    """By the first file of weights that lies in it."""
    for file in sorted(folder.glob("*.safetensors"))[:1]:
        try:
            return is_lora(read_header(file).tensors)
        except (LorasmithError, OSError):
            return False
    return False


_UNUSED = ("safety_checker", "feature_extractor", "image_encoder")
"""Parts of stock pipelines that are never loaded here."""


def _part(folder: Path, name: str) -> Iterator[str]:
    if name == "scheduler":
        yield from _needed(folder, name, "scheduler_config.json")
    elif name.startswith("tokenizer"):
        words = ("tokenizer.json", "vocab.json", "spiece.model")
        if not any((folder / word).is_file() for word in words):
            yield f"{name} has no {' or '.join(words)}"
    else:
        yield from _needed(folder, name, "config.json")
        yield from _weights(folder, name)


def _needed(folder: Path, name: str, file: str) -> Iterator[str]:
    try:
        _json(folder / file)
    except ValueError:
        yield f"{name}/{file} is missing or damaged"


def _weights(folder: Path, name: str) -> Iterator[str]:
    """The half precision is taken where both are there, as loaders do."""
    indices = sorted(folder.glob("*.safetensors.index*.json"), key=lambda path: "fp16" not in path.name)
    single = [p for p in sorted(folder.glob("*.safetensors")) if "-of-" not in p.name and "non_ema" not in p.name]
    if indices and not single:
        try:
            files = sorted({str(file) for file in _json(indices[0])["weight_map"].values()})
        except (ValueError, KeyError, AttributeError):
            yield f"{name}/{indices[0].name} is damaged"
            return
        single = [folder / Path(file).name for file in files]
    if not single:
        yield f"{name} has no safetensors weights"
    for path in single:
        yield from _cut(path, f"{name}/{path.name}")


def _cut(path: Path, name: str) -> Iterator[str]:
    """Our own parser refuses files whose length is not what their header says."""
    if not path.is_file():
        yield f"{name} is missing"
        return
    try:
        read_header(path)
    except (LorasmithError, OSError, ValueError):
        yield f"{name} is damaged or not whole"


def _json(path: Path) -> dict[str, Any]:
    """Raises `ValueError` with what is wrong."""
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(MAX_INDEX_BYTES))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path.name} is missing or damaged") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path.name} is damaged")  # noqa: TRY004 -- one error for whatever a file may hold
    return found


def present(base: str, source: str) -> bool:
    """Whether the whole of a base model is on this machine."""
    return not faults(located(source), BASES[base])


def fetched_here(known: KnownBase, source: str) -> bool:
    """Whether a source is one that `lorasmith fetch` looks after, and no place that the operator named."""
    return source in (known.source, known.hub, str(copied(known.name)))


def missing(base: str, source: str) -> str:
    """What to do about a base model that is not here, not whole, or not what it is said to be."""
    known, place = BASES[base], located(source)
    if fetched_here(known, source):
        return _fetch(known, halfway=place is not None)
    setting = f"LORASMITH_BASE_{base.upper().replace('-', '_')}"
    if place is None:
        return f"The base model {base} is not at {source}. Set {setting} to the folder that holds its weights."
    other = f", or take the setting out and get it with: lorasmith fetch {base}" if known.hub else ""
    return f"{source} cannot be used as {known.title}: {faults(place, known)[0]}. Set {setting} to a whole {known.title}{other}."


def _fetch(known: KnownBase, *, halfway: bool) -> str:
    here = "is on this machine in part only" if halfway else "is not on this machine"
    wait = "Go on with" if halfway else "Fetch it with"
    return f"{known.title} {here}. {wait}: lorasmith fetch {known.name} (about {round(known.download_gb)} GB)"
