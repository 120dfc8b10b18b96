"""The texts of an order as its base model hears them: encoded once, kept on disk beside the latents."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from storage.system import sync_file
from trainer.gpu.families.family import Base, Words, teachable

VERSION = 1
"""Of what is kept: another number finds nothing of before."""


class OnDisk(dict[str, Words]):
    """Words that are read from their files each time: nothing of them stays in memory."""

    def __init__(self, base: Base, files: Mapping[str, Path]) -> None:
        super().__init__()
        self._base, self._files = base, files

    def __missing__(self, text: str) -> Words:
        """Raises `KeyError` for a text that was never encoded; a damaged file is written again."""
        return _one(self._base, text, self._files[text])


def heard(base: Base, texts: Iterable[str], cache: Path, *, on_disk: bool = False) -> dict[str, Words]:
    """Every text encoded, from the cache where it is; the words lie where the base computes, or on disk until asked for."""
    cache.mkdir(parents=True, exist_ok=True)
    files = {text: cache / f"words-{_key(base, text)}.safetensors" for text in texts}
    if not on_disk:
        return {text: _one(base, text, file) for text, file in files.items()}
    for text, file in files.items():
        _one(base, text, file)
    return OnDisk(base, files)


class AsWorn(dict[str, Words]):
    """An order's words as its base says them now: anew where the file that it wears has changed its text encoders."""

    def __init__(self, base: Base, kept: dict[str, Words]) -> None:
        super().__init__()
        self._base, self._kept = base, kept

    def __getitem__(self, text: str) -> Words:
        """Raises `KeyError` for a text that is not the order's."""
        kept, teacher = self._kept[text], teachable(self._base)
        return self._base.encode_texts([text]) if teacher and teacher.speaks_as_worn else kept


def _one(base: Base, text: str, file: Path) -> Words:
    kept = _read(file)
    if kept is None:
        words = base.encode_texts([text])
        _write(file, {name: value.cpu().contiguous() for name, value in _tensors(words).items()})
        return words
    return Words(**{name: value.to(base.device) for name, value in kept.items()})


def _key(base: Base, text: str) -> str:
    whole = f"{VERSION}:{base.words_sha256}:{base.device.type}:{text}"
    return hashlib.sha256(whole.encode()).hexdigest()[:40]


def _tensors(words: Words) -> dict[str, Tensor]:
    """What there is of them, by the field's name."""
    named = {field.name: getattr(words, field.name) for field in fields(words)}
    return {name: value for name, value in named.items() if isinstance(value, torch.Tensor)}


def _read(file: Path) -> dict[str, Tensor] | None:
    """What is in the cache, or None where it is missing or was damaged."""
    try:
        kept: dict[str, Tensor] = load_file(file)
    except (OSError, SafetensorError):
        return None
    known = {field.name for field in fields(Words)}
    return kept if "hidden_BLD" in kept and kept.keys() <= known else None


def _write(file: Path, tensors: dict[str, Tensor]) -> None:
    part = file.with_suffix(".part")
    save_file(tensors, part)
    sync_file(part)
    part.replace(file)
