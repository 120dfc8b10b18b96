"""The eyes of one order: which of those that are there says likeness, and which is heard beside it.

A base with a judge of its own, as the pocket has, is judged by that alone, so that its numbers are the same on every machine. Other
bases are judged by what `lorasmith fetch eyes` brought or the worker's settings name; without it by their losses alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from PIL import Image
from torch import Tensor

from storage.domain.orders import SubjectType
from trainer.comparison import EyeName
from trainer.gpu.judge.dino import DINOV2, Dino
from trainer.gpu.judge.eye import Encoder, Eye, eye_of
from trainer.gpu.judge.identity import FACE, Identity
from trainer.gpu.judge.sight import CLIP, STYLE
from trainer.gpu.memory import free, is_out_of_memory

log = logging.getLogger(__name__)
Opened = TypeVar("Opened")
Told = TypeVar("Told")

ORDER: Mapping[SubjectType, tuple[str, ...]] = {
    SubjectType.PERSON: (FACE, DINOV2, CLIP),
    SubjectType.CHARACTER: (DINOV2, CLIP),
    SubjectType.OBJECT: (DINOV2, CLIP),
    SubjectType.STYLE: (STYLE, CLIP),
}
"""Who says likeness, best first. Style is blind to things, and the others half blind to styles (EXPERIMENTS.md, "An eye for
styles")."""
ROOM = 1 << 30
"""Bytes that stay free on a GPU while an eye visits it: twice what the hungriest computes in. CLIP ViT-L/14 keeps 25 layers of 257
x 1024 floats for a style, 26 MB a picture, 0.42 GB for the 16 of a pass; its widest layer takes 0.07 GB more."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What there is to see with, for whatever orders come."""

    eye: Eye
    others: Mapping[str, Encoder]
    """By what they look for."""
    own: bool
    """Whether it came with the base; then it lies where the base computes, and others wait in main memory."""
    device: torch.device
    """Where the base computes."""
    _visits: dict[int, bool] = field(default_factory=dict)
    """Whether an eye, by its `id`, visits there: asked once, because devices round differently and what is compared is to be
    seen alike."""

    def through(self, encoder: Encoder, look: Callable[[], Told]) -> Told:
        """What `look` says with an eye on the base's device, where there is room, else in main memory.

        Where room is gone since, it looks again in main memory, and stays there.
        """
        try:
            with self._visiting(encoder):
                return look()
        except RuntimeError as error:
            if not is_out_of_memory(error) or not self._visits.get(id(encoder)):
                raise
            log.warning("there is no more room for an eye beside the base; from now on it looks in main memory")
        self._visits[id(encoder)] = False
        free()
        return look()

    @contextmanager
    def _visiting(self, encoder: Encoder) -> Iterator[None]:
        """Back in main memory before the base goes on."""
        if self.own or not self._visits.setdefault(id(encoder), _room(self.device, encoder.bytes)):
            yield
            return
        try:
            encoder.travel(self.device)
            yield
        finally:
            encoder.travel(torch.device("cpu"))


def found(base: str, folders: Mapping[EyeName, str], device: torch.device) -> Found | None:
    """The judge beside a base, else the eyes in `folders` (judge, likeness, identity, faces); None without one that reads."""
    if own := eye_of(base, device):
        return Found(eye=own, others={}, own=True, device=device)
    eye = _tried(folders, ("judge",), lambda folder: Eye(folder, folder, torch.device("cpu")))
    if eye is None:
        log.warning("there is no eye for %s: its orders are judged by their losses alone (lorasmith fetch eyes)", base)
        return None
    others = {
        DINOV2: _tried(folders, ("likeness",), Dino),
        FACE: _tried(folders, ("identity", "faces"), Identity),
    }
    return Found(
        eye=eye, others={name: one for name, one in others.items() if one is not None}, own=False, device=device
    )


def _tried(folders: Mapping[EyeName, str], names: Sequence[EyeName], load: Callable[..., Opened]) -> Opened | None:
    """What can be opened with the files of these names; one that cannot be costs no order: the log says why."""
    files = [Path(folders[name]) for name in names if folders.get(name)]
    if len(files) < len(names):
        return None
    try:
        return load(*files)
    except Exception:
        log.exception("the model for %s cannot be used; orders are judged without it", names[0])
        return None


class Eyes:
    """What one order's pictures are looked at with."""

    def __init__(self, seeing: Found, subject_type: SubjectType) -> None:
        self._found = seeing
        there = {CLIP, STYLE, *seeing.others}
        self.order = tuple(name for name in ORDER[subject_type] if name in there)
        """Those that say likeness, best first."""

    def look(self, images: Sequence[Image.Image]) -> dict[str, Tensor]:
        """(pictures, width) for each eye that this order needs, by its name."""
        seen: dict[str, Tensor] = {}
        for name in (CLIP, *self.order):
            if name not in seen:
                encoder = self._found.others.get(name, self._found.eye)
                seen |= self._found.through(encoder, partial(encoder.look, images))
        return {name: seen[name] for name in {CLIP: 0, **dict.fromkeys(self.order, 0)}}

    def texts(self, texts: Sequence[str]) -> Tensor:
        """(texts, width) as the eye that reads sees them."""
        eye = self._found.eye
        return self._found.through(eye, lambda: eye.texts(texts))


def _room(device: torch.device, wanted: int) -> bool:
    """Whether a GPU has so many bytes and `ROOM`; what the allocator keeps for later is free too."""
    if device.type != "cuda":
        return False
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + kept > wanted + ROOM
