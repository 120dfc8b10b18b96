"""A smaller LoRA of the same effect: each module's product cut to its largest singular values, and what that costs.

No other matrix of that rank is as near (Eckart and Young 1936, Psychometrika 1, 211-218): the squared distance is the sum of the
squared values that are gone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from storage.lora_file import About
from trainer.gpu.adapter import Delivered
from trainer.gpu.export import DTYPES, Pairs, cast, write

SPARE_BYTES = 1 << 10
"""For what a compact file's header says more than the whole file's: the measured strength."""
ALPHA_BYTES = 4
"""One float32 a module."""


class CannotShrink(ValueError):
    """Not even rank 1 fits."""


@dataclass(frozen=True, kw_only=True)
class Compact:
    """The smaller pairs."""

    pairs: Pairs
    rank: int
    loss: float
    """Share of the summed squared singular values that is gone, over all modules."""


@dataclass(frozen=True, kw_only=True)
class Svd:
    """Of one product B A: left (out, r), values (r,), right (r, inputs); `kernel` is A's shape behind the rank."""

    left: Tensor
    values: Tensor
    right: Tensor
    inner: tuple[int, ...]
    outer: tuple[int, ...]


def shrunk(pairs: Pairs, max_bytes: int, *, header_bytes: int, dtype: str = "fp16") -> Compact:
    """The largest rank whose file has at most `max_bytes` in this type of numbers. Raises `CannotShrink`.

    `header_bytes` is the length of the whole file's header: the same names with longer numbers, 325 kB for SDXL.
    """
    row_bytes = sum(DTYPES[dtype].itemsize * (down[0].numel() + up.shape[0]) for down, up in pairs.values())
    fixed = header_bytes + SPARE_BYTES + ALPHA_BYTES * len(pairs)
    rank = min((max_bytes - fixed) // max(1, row_bytes), max(down.shape[0] for down, _ in pairs.values()))
    if rank < 1:
        raise CannotShrink(f"rank 1 needs {fixed + row_bytes} bytes, {max_bytes} are allowed")
    parts = {module: _svd(down, up) for module, (down, up) in pairs.items()}
    cut = {module: _cut(part, rank) for module, part in parts.items()}
    return Compact(
        pairs=cast({m: down for m, (down, _) in cut.items()}, {m: up for m, (_, up) in cut.items()}, dtype),
        rank=rank,
        loss=lost(parts, rank),
    )


def keeping(weights: Delivered, share: float) -> tuple[Delivered, float]:
    """The smallest rank that keeps this share of the energy, in all modules together; and the share that is lost."""
    parts = {path: _svd(down.cpu(), weights.ups[path].cpu()) for path, down in weights.downs.items()}
    rank = next(r for r in range(1, weights.rank + 1) if r == weights.rank or lost(parts, r) <= 1.0 - share)
    if rank == weights.rank:
        return weights, 0.0
    cut = {path: _cut(part, rank) for path, part in parts.items()}
    downs, ups = ({path: pair[side].float() for path, pair in cut.items()} for side in (0, 1))
    return Delivered(rank=rank, downs=downs, ups=ups), lost(parts, rank)


def lost(parts: Mapping[str, Svd], rank: int) -> float:
    """Share of the summed squared singular values beyond a rank, over all modules."""
    whole = sum(float(part.values.square().sum()) for part in parts.values())
    return sum(float(part.values[rank:].square().sum()) for part in parts.values()) / whole if whole else 0.0


def write_compact(
    path: Path, pairs: Pairs, header: Callable[[int], About], max_bytes: int, *, header_bytes: int, dtype: str = "fp16"
) -> Compact:
    """Writes the smaller file, with the header of its rank, and reads it back. Raises `CannotShrink`."""
    compact = shrunk(pairs, max_bytes, header_bytes=header_bytes, dtype=dtype)
    write(path, compact.pairs, header(compact.rank))
    if path.stat().st_size > max_bytes:
        path.unlink()
        raise CannotShrink(f"rank {compact.rank} came out larger than {max_bytes} bytes")
    return compact


def _svd(down: Tensor, up: Tensor) -> Svd:
    """By way of the factors' QR: the core is rank x rank, whatever the module's size."""
    a, b = down.double().flatten(1), up.double().flatten(1)
    q_b, r_b = torch.linalg.qr(b)
    q_a, r_a = torch.linalg.qr(a.T)
    left, values, right = torch.linalg.svd(r_b @ r_a.T)
    return Svd(
        left=q_b @ left, values=values, right=right @ q_a.T, inner=tuple(down.shape[1:]), outer=tuple(up.shape[2:])
    )


def _cut(part: Svd, rank: int) -> tuple[Tensor, Tensor]:
    """Both factors, float64; both carry the root of each value, so that neither leaves fp16's range."""
    root = part.values[:rank].sqrt()
    down = root[:, None] * part.right[:rank]
    up = part.left[:, :rank] * root
    down = torch.nn.functional.pad(down, (0, 0, 0, rank - down.shape[0]))
    up = torch.nn.functional.pad(up, (0, rank - up.shape[1]))
    return down.view(rank, *part.inner).contiguous(), up.view(-1, rank, *part.outer).contiguous()
