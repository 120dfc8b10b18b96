"""A smaller LoRA of the same effect: each module's product cut to its largest singular values, and what that costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from storage.lora_file import About
from trainer.gpu.export import Pairs, write

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
class _Svd:
    """Of one product B A: left (out, r), values (r,), right (r, inputs); `kernel` is A's shape behind the rank."""

    left: Tensor
    values: Tensor
    right: Tensor
    inner: tuple[int, ...]
    outer: tuple[int, ...]


def shrunk(pairs: Pairs, max_bytes: int, *, header_bytes: int) -> Compact:
    """The largest rank whose file has at most `max_bytes`. Raises `CannotShrink`.

    `header_bytes` is the length of the whole file's header: the same names with longer numbers, 325 kB for SDXL.
    """
    row_bytes = sum(2 * (down[0].numel() + up.shape[0]) for down, up in pairs.values())
    fixed = header_bytes + SPARE_BYTES + ALPHA_BYTES * len(pairs)
    rank = min((max_bytes - fixed) // max(1, row_bytes), max(down.shape[0] for down, _ in pairs.values()))
    if rank < 1:
        raise CannotShrink(f"rank 1 needs {fixed + row_bytes} bytes, {max_bytes} are allowed")
    parts = {module: _svd(down, up) for module, (down, up) in pairs.items()}
    whole = sum(float(part.values.square().sum()) for part in parts.values())
    gone = sum(float(part.values[rank:].square().sum()) for part in parts.values())
    return Compact(
        pairs={module: _cut(part, rank) for module, part in parts.items()},
        rank=rank,
        loss=gone / whole if whole else 0.0,
    )


def write_compact(
    path: Path, pairs: Pairs, header: Callable[[int], About], max_bytes: int, *, header_bytes: int
) -> Compact:
    """Writes the smaller file, with the header of its rank, and reads it back. Raises `CannotShrink`."""
    compact = shrunk(pairs, max_bytes, header_bytes=header_bytes)
    write(path, compact.pairs, header(compact.rank))
    if path.stat().st_size > max_bytes:
        path.unlink()
        raise CannotShrink(f"rank {compact.rank} came out larger than {max_bytes} bytes")
    return compact


def _svd(down: Tensor, up: Tensor) -> _Svd:
    """By way of the factors' QR: the core is rank x rank, whatever the module's size."""
    a, b = down.double().flatten(1), up.double().flatten(1)
    q_b, r_b = torch.linalg.qr(b)
    q_a, r_a = torch.linalg.qr(a.T)
    left, values, right = torch.linalg.svd(r_b @ r_a.T)
    return _Svd(
        left=q_b @ left, values=values, right=right @ q_a.T, inner=tuple(down.shape[1:]), outer=tuple(up.shape[2:])
    )


def _cut(part: _Svd, rank: int) -> tuple[Tensor, Tensor]:
    """Both factors carry the root of each value, so that neither leaves fp16's range."""
    root = part.values[:rank].sqrt()
    down = (root[:, None] * part.right[:rank]).half()
    up = (part.left[:, :rank] * root).half()
    down = torch.nn.functional.pad(down, (0, 0, 0, rank - down.shape[0]))
    up = torch.nn.functional.pad(up, (0, rank - up.shape[1]))
    return down.view(rank, *part.inner).contiguous(), up.view(-1, rank, *part.outer).contiguous()
