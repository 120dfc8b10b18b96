"""The latents of an order's pictures, plain and mirrored, computed once and kept on disk.

As a rule the most likely latent is kept (the posterior's mode): the posterior of both autoencoders is narrower than what
training can see (log-variance about -9 for the pocket, below -15 for SDXL). Where a plan wants it sampled, mean and standard
deviation are kept and every view draws anew: z = mean + std e (Kingma and Welling 2014, arXiv 1312.6114, section 2.4).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from PIL import ImageOps
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from storage import faults
from storage.system import sync_file
from trainer.gpu.cropping import UPPER
from trainer.gpu.families.family import Base
from trainer.gpu.pictures import Framed, pixels

VERSION = 2
"""Of what is kept: another number finds nothing of before."""
_MEANS, _SPREADS = ("plain", "mirrored"), ("plain_std", "mirrored_std")


@dataclass(frozen=True, kw_only=True)
class Keeping:
    """What is kept of a picture, and where."""

    spread: bool = False
    """The posterior's standard deviation too."""
    on_disk: bool = False
    """Read from the file for every view, instead of held in memory."""


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """One picture as the denoiser sees it."""

    picture: Framed
    kept: Mapping[str, Tensor]
    """`plain` and `mirrored`, with their `_std` where the posterior is sampled; in memory or read when asked for."""
    sizes: tuple[Encoded, ...] = ()
    """The same picture at the sizes that a view draws from; none where there is only this one."""

    @property
    def plain(self) -> Tensor:
        """The most likely latents (C, H, W)."""
        return self.kept["plain"]

    @property
    def mirrored(self) -> Tensor:
        """Those of the mirrored picture."""
        return self.kept["mirrored"]

    @property
    def plain_std(self) -> Tensor:
        """Standard deviation of the latents (C, H, W)."""
        return self.kept["plain_std"]

    @property
    def mirrored_std(self) -> Tensor:
        """That of the mirrored picture's."""
        return self.kept["mirrored_std"]


class OnDisk(Mapping[str, Tensor]):
    """The tensors of a cache file, each read when it is asked for. Raises `OSError` where the file has gone."""

    def __init__(self, file: Path, names: Sequence[str]) -> None:
        self._file, self._names = file, tuple(names)

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._names:
            raise KeyError(name)
        try:
            with safe_open(self._file, framework="pt") as opened:
                tensor: Tensor = opened.get_tensor(name)
        except SafetensorError as error:
            raise OSError(f"{self._file.name} was damaged") from error
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def encoded(
    base: Base, pictures: Sequence[Framed], cache: Path, tell: Callable[[int], None], keeping: Keeping | None = None
) -> list[Encoded]:
    """Latents of all pictures, from the cache where they are; `tell` hears how many are done."""
    cache.mkdir(parents=True, exist_ok=True)
    keeping, done = keeping or Keeping(), []
    for number, picture in enumerate(pictures):
        done.append(_one(base, picture, cache / f"{_key(base, picture, keeping)}.safetensors", keeping))
        tell(number + 1)
    return done


def sized(pictures: Sequence[Encoded], others: Sequence[Sequence[Encoded]]) -> list[Encoded]:
    """Each picture with all sizes that it need not be enlarged for; where it is too small for every one, with the smallest."""
    if not others:
        return list(pictures)
    found = []
    for alike in zip(pictures, *others, strict=True):
        whole = tuple(one for one in alike if not one.picture.enlarged)
        smallest = min(alike, key=lambda one: one.picture.shape.height * one.picture.shape.width)
        found.append(replace(alike[0], sizes=whole or (smallest,)))
    return found


def _one(base: Base, picture: Framed, file: Path, keeping: Keeping) -> Encoded:
    names = (*_MEANS, *_SPREADS) if keeping.spread else _MEANS
    kept = _read(file, names)
    if kept is None:
        both = torch.stack([pixels(picture.image), pixels(ImageOps.mirror(picture.image))])
        said = base.posteriors(both)
        kept = _named(_MEANS, said.mean_BCHW)
        kept |= _named(_SPREADS, said.std_BCHW) if keeping.spread else {}
        _write(file, kept)
    return Encoded(picture=picture, kept=OnDisk(file, names) if keeping.on_disk else kept)


def _named(names: Sequence[str], both_2CHW: Tensor) -> dict[str, Tensor]:
    return {name: one.clone() for name, one in zip(names, both_2CHW.cpu().contiguous(), strict=True)}


def _key(base: Base, picture: Framed, keeping: Keeping) -> str:
    """Of all that decides the latents: the picture's bytes, the autoencoder, the size and how the picture was cut to it."""
    cut = f"{picture.shape.height}x{picture.shape.width}:{UPPER}" + (f":{picture.crop}" if picture.crop else "")
    text = f"{picture.sha256}:{base.vae_sha256}:{cut}:{keeping.spread}:{VERSION}"
    return hashlib.sha256(text.encode()).hexdigest()[:40]


def _read(file: Path, names: Sequence[str]) -> dict[str, Tensor] | None:
    """What is in the cache, or None where it is missing or was damaged."""
    try:
        kept: dict[str, Tensor] = load_file(file)
    except (OSError, SafetensorError):
        return None
    return {name: kept[name] for name in names} if set(names) <= kept.keys() else None


def _write(file: Path, tensors: dict[str, Tensor]) -> None:
    part = file.with_suffix(".part")
    save_file(tensors, part)
    faults.gap("cache-write")
    sync_file(part)
    part.replace(file)
