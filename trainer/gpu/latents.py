"""The latents of an order's pictures, plain and mirrored, computed once and kept on disk.

The most likely latent is kept (the posterior's mode): the posterior of both autoencoders is narrower than what training
can see (log-variance about -9 for the pocket, below -15 for SDXL), and nothing random has to be remembered.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import ImageOps
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from storage import faults
from trainer.gpu.families.family import Base
from trainer.gpu.pictures import Framed, pixels


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """One picture as the denoiser sees it."""

    picture: Framed
    plain_CHW: Tensor
    mirrored_CHW: Tensor


def encoded(base: Base, pictures: Sequence[Framed], cache: Path, tell: Callable[[int], None]) -> list[Encoded]:
    """Latents of all pictures, from the cache where they are; `tell` hears how many are done."""
    cache.mkdir(parents=True, exist_ok=True)
    done = []
    for number, picture in enumerate(pictures):
        done.append(_one(base, picture, cache / f"{_key(base, picture)}.safetensors"))
        tell(number + 1)
    return done


def _one(base: Base, picture: Framed, file: Path) -> Encoded:
    kept = _read(file)
    if kept is None:
        both = torch.stack([pixels(picture.image), pixels(ImageOps.mirror(picture.image))])
        latents_2CHW = base.encode_pictures(both).cpu().contiguous()
        kept = {"plain": latents_2CHW[0].clone(), "mirrored": latents_2CHW[1].clone()}
        _write(file, kept)
    return Encoded(picture=picture, plain_CHW=kept["plain"], mirrored_CHW=kept["mirrored"])


def _key(base: Base, picture: Framed) -> str:
    text = f"{picture.sha256}:{base.vae_sha256}:{picture.shape.height}x{picture.shape.width}:1"
    return hashlib.sha256(text.encode()).hexdigest()[:40]


def _read(file: Path) -> dict[str, Tensor] | None:
    """What is in the cache, or None where it is missing or was damaged."""
    try:
        kept: dict[str, Tensor] = load_file(file)
    except (OSError, SafetensorError):
        return None
    return kept if {"plain", "mirrored"} <= kept.keys() else None


def _write(file: Path, tensors: dict[str, Tensor]) -> None:
    part = file.with_suffix(".part")
    save_file(tensors, part)
    faults.gap("cache-write")
    with part.open("rb") as handle:
        os.fsync(handle.fileno())
    part.replace(file)
