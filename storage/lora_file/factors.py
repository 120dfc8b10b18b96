"""The matrices of a LoRA file, module by module of diffusers, whatever the file calls them: what `convert` works on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from storage.domain.errors import FileRefused
from storage.lora_file.format import Header
from storage.lora_file.header import read_tensors
from storage.lora_file.inventory import Inventory, Module
from storage.lora_file.layouts import Component
from storage.lora_file.spelling import Slot, Slots, meanings

Matrix = npt.NDArray[np.float32]
Place = tuple[Component, str]

MAX_BYTES = 2 << 30
"""Of a file that is converted: it is held in memory as float32, twice."""
MAX_RANK = 4096
"""A joint matrix of modules grows with the square of it."""


@dataclass(frozen=True, kw_only=True)
class Factors:
    """One module: what is added to its weight is `up @ down`, strength included."""

    down: Matrix  # A: (rank, in) or (rank, in, height, width)
    up: Matrix  # B, alpha over rank folded in: (out, rank) or (out, rank, 1, 1)


def read_factors(
    path: Path, header: Header, inventory: Inventory, family: str, scales: Mapping[str, float]
) -> dict[Place, Factors]:
    """Every module of the file; `scales` is alpha over rank by the file's own names.

    Raises FileRefused for what is too large, and where two names mean the same module.
    """
    if header.file_bytes > MAX_BYTES:
        raise FileRefused(f"the file has {header.file_bytes} bytes; at most {MAX_BYTES} are converted")
    known = meanings(family)
    found: dict[Place, Factors] = {}
    for base, module in inventory.modules.items():
        down, up = _matrices(path, header, module)
        for slot, factors in split(down, up * np.float32(scales[base]), known[base]):
            place = (slot.component, slot.path)
            if place in found:
                raise FileRefused(f"two names of the file mean the same module, {slot.path}; {base!a} is one of them")
            found[place] = factors
    return found


def split(down: Matrix, up: Matrix, slots: Slots) -> list[tuple[Slot, Factors]]:
    """The modules of a joint matrix by their rows, without the columns of B that are zero for all of a module's rows.

    Those are what joining leaves behind: so a block-diagonal B comes apart into what it was made of.
    """
    if len(slots) == 1:
        return [(slots[0], shaped(down, up, slots[0].shape))]
    parts = []
    for slot in slots:
        rows = up[slot.start or 0 : (slot.start or 0) + slot.shape[0]]
        used = np.flatnonzero(rows.reshape(*rows.shape[:2], -1).any(axis=(0, 2)))
        parts.append((slot, rows, used))
    if not any(len(used) for _, _, used in parts):
        return [(slot, shaped(down, rows, slot.shape)) for slot, rows, _ in parts]
    return [
        (slot, shaped(np.ascontiguousarray(down[used]), np.ascontiguousarray(rows[:, used]), slot.shape))
        for slot, rows, used in parts
        if len(used)
    ]


def joined(slots: Slots, found: Mapping[Place, Factors]) -> Factors | None:
    """The joint matrix of several modules, the opposite of `split`; None where none of them is there.

    One A for all where they share it, else A one under another and B block-diagonal (as sd-scripts does it:
    https://github.com/kohya-ss/sd-scripts/blob/48d368fa/networks/lora_flux.py, `split_qkv`): the product is the same.
    """
    there = [found.get((slot.component, slot.path)) for slot in slots]
    given = [factors for factors in there if factors is not None]
    if not given:
        return None
    if len(given) == len(slots) and all(np.array_equal(factors.down, given[0].down) for factors in given):
        return Factors(down=given[0].down, up=np.concatenate([factors.up for factors in given]))
    rank = sum(factors.down.shape[0] for factors in given)
    up = np.zeros((sum(slot.shape[0] for slot in slots), rank), np.float32)
    row = column = 0
    for slot, factors in zip(slots, there, strict=True):
        if factors is not None:
            up[row : row + slot.shape[0], column : column + factors.up.shape[1]] = factors.up
            column += factors.up.shape[1]
        row += slot.shape[0]
    return Factors(down=np.concatenate([factors.down for factors in given]), up=up)


def shaped(down: Matrix, up: Matrix, shape: tuple[int, ...]) -> Factors:
    """With the module's own dimensions: some tools write 1x1 convolutions as matrices, others the reverse."""
    rank, inner = down.shape[0], shape[1:]
    if down.size != rank * int(np.prod(inner)) or up.size != shape[0] * rank:
        raise FileRefused(f"matrices of shapes {down.shape} and {up.shape} are not of a weight of shape {shape}")
    return Factors(down=down.reshape(rank, *inner), up=up.reshape(shape[0], rank, *[1] * (len(inner) - 1)))


def difference(one: Factors | None, other: Factors | None) -> float:
    """||B1 A1 - B2 A2|| over ||B1|| ||A1||, Frobenius norms: what rounding both factors once may change is 2 u.

    No product is made: with B = [B1 -B2] and A = [A1; A2] the squared norm is the trace of (B^T B)(A A^T).
    """
    pairs = [_flat(factors) for factors in (one, other) if factors is not None]
    if not pairs:
        return 0.0
    signs = [1.0, -1.0]
    down = np.concatenate([down for down, _ in pairs])
    up = np.concatenate([sign * up for sign, (_, up) in zip(signs, pairs, strict=False)], axis=1)
    square = float(np.sum((up.T @ up) * (down @ down.T)))
    size = float(np.linalg.norm(pairs[0][0]) * np.linalg.norm(pairs[0][1]))
    return float(np.sqrt(max(0.0, square)) / size) if size else float(square > 0)


def _flat(factors: Factors) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    rank = factors.down.shape[0]
    return factors.down.reshape(rank, -1).astype(np.float64), factors.up.reshape(-1, rank).astype(np.float64)


def _matrices(path: Path, header: Header, module: Module) -> tuple[Matrix, Matrix]:
    names = [module.keys["down"], module.keys["up"]]
    read = read_tensors(path, header, names, max_bytes=MAX_BYTES)
    down, up = (read[name].astype(np.float32) for name in names)
    return down, up
