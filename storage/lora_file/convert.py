"""`lorasmith convert FILE`: mends a LoRA that tools misread: alpha, names, layout, dtype. What it cannot mend it refuses."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from storage.domain.errors import FileRefused
from storage.lora_file.architectures import ARCHITECTURES
from storage.lora_file.check import check_file
from storage.lora_file.factors import Factors, Matrix, Place, difference, joined, read_factors
from storage.lora_file.family import family_of
from storage.lora_file.header import read_header
from storage.lora_file.inventory import Inventory, inventory_of
from storage.lora_file.layouts import LAYOUTS, Layout, layout_of
from storage.lora_file.mended_header import mended_header
from storage.lora_file.mending import common_dtype, refusals, scales_of
from storage.lora_file.report import as_text, plain
from storage.lora_file.spelling import written
from storage.lora_file.writer import Raw, Tensors, write_lora

DTYPES: Mapping[str, tuple[str, float]] = {
    "fp16": ("F16", 2.0**-11),
    "bf16": ("BF16", 2.0**-8),
    "fp32": ("F32", 2.0**-24),
}
"""As in the header, and the unit roundoff."""
_SLACK = 1e-6  # of the comparison itself: the root of float64's precision, and more


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the file's owner asks for; None keeps or finds out."""

    layout: str | None = None
    dtype: str | None = None  # a key of DTYPES
    alpha: float | None = None  # that it was trained with, where the file says it wrong


@dataclass(frozen=True, kw_only=True)
class Converted:
    """What was done."""

    family: str
    layout: str
    dtype: str
    modules: int
    said: tuple[str, ...]  # in words, one change each
    worst: float  # largest relative difference of a module's product (see factors.difference)


def convert(file: Path, out: Path, wish: Wish) -> Converted:
    """Writes `out`, checked and read back. Raises FileRefused, and then leaves nothing, for what cannot be mended."""
    header = read_header(file)
    inventory = inventory_of(file, header)
    family = family_of(header.metadata, inventory)
    if family is None:
        raise FileRefused("the family was not recognised: its names mean nothing to this program")
    _refuse(refusals(file, header, inventory, family, alpha_given=wish.alpha is not None))
    layout = _layout(family, wish.layout)
    dtype = wish.dtype or common_dtype(header)
    scales, said = scales_of(header, inventory, wish.alpha)
    found = read_factors(file, header, inventory, family, scales)
    tensors = _tensors(_named(found, family, layout), layout, dtype)
    unfinished = out.with_name(f"{out.stem}.unchecked.safetensors")
    write_lora(unfinished, tensors, mended_header(header, tensors, family, ranks=_ranks(found)))
    try:
        worst = _read_back(unfinished, found, family, dtype)
        unfinished.replace(out)
    finally:
        unfinished.unlink(missing_ok=True)
    return Converted(family=family, layout=layout.name, dtype=dtype, modules=len(found), said=tuple(said), worst=worst)


def run(argv: Sequence[str]) -> int:
    """The verb: 0 written, 1 refused or not loadable everywhere afterwards, 2 asked wrongly."""
    asked = _parser().parse_args(argv)
    out: Path = asked.out or asked.file.with_name(f"{asked.file.stem}-mended.safetensors")
    if out.exists():
        sys.stdout.write(f"{plain(str(out))} is there already; name another with --out\n")
        return 2
    try:
        done = convert(asked.file, out, Wish(layout=asked.layout, dtype=asked.dtype, alpha=asked.alpha))
    except FileRefused as refusal:
        sys.stdout.write(f"{plain(asked.file.name)}: {plain(str(refusal), 600)}\n")
        return 1
    except OSError as error:
        sys.stdout.write(f"{plain(str(out))} cannot be written: {error.strerror}\n")
        return 1
    report = check_file(out)
    sys.stdout.write("".join(f"- {line}\n" for line in done.said))
    title = ARCHITECTURES[done.family].title
    sys.stdout.write(f"{done.modules} modules of {title}, names of {done.layout}, {done.dtype}, read back equal\n")
    sys.stdout.write(as_text(report))
    return report.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lorasmith convert", description=__doc__)
    parser.add_argument("file", type=Path, help="a LoRA in safetensors; it is never changed")
    parser.add_argument("--out", type=Path, help="the new file; without it NAME-mended.safetensors beside the old one")
    names = sorted({layout.name for layouts in LAYOUTS.values() for layout in layouts})
    parser.add_argument("--layout", choices=names, help="whose names; without it those that most tools read")
    parser.add_argument("--dtype", choices=sorted(DTYPES), help="type of the numbers; without it the file's own")
    parser.add_argument("--alpha", type=_positive, help="the alpha it was trained with, where the file says it wrong")
    return parser


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError("alpha is a number above 0")
    return value


def _refuse(reasons: Sequence[str]) -> None:
    if reasons:
        raise FileRefused("this cannot be converted: " + "; ".join(reasons))


def _layout(family: str, name: str | None) -> Layout:
    try:
        return layout_of(family, name)
    except ValueError as error:
        raise FileRefused(str(error)) from error


def _named(found: Mapping[Place, Factors], family: str, layout: Layout) -> dict[str, Factors]:
    """By the names of the layout. Raises FileRefused for a module that it has no name for."""
    named: dict[str, Factors] = {}
    covered: set[Place] = set()
    for name, slots in written(family, layout).items():
        factors = joined(slots, found) if len(slots) > 1 else found.get((slots[0].component, slots[0].path))
        if factors is not None:
            named[name] = factors
            covered.update((slot.component, slot.path) for slot in slots)
    without = sorted(path for _, path in found.keys() - covered)
    if without:
        raise FileRefused(f"the layout {layout.name} has no name for {len(without)} modules, {without[0]!a} for one")
    return named


def _tensors(named: Mapping[str, Factors], layout: Layout, dtype: str) -> Tensors:
    tensors: dict[str, np.ndarray | Raw] = {}
    for name, factors in named.items():
        tensors[name + layout.down] = _cast(factors.down, dtype)
        tensors[name + layout.up] = _cast(factors.up, dtype)
        if layout.alpha is not None:
            tensors[name + layout.alpha] = np.array(factors.down.shape[0], np.float32)
    return tensors


def _cast(matrix: Matrix, dtype: str) -> np.ndarray | Raw:
    """To the nearest number, ties to even. Raises FileRefused where it would become infinite."""
    if dtype == "fp32":
        return matrix
    if dtype == "fp16":
        with np.errstate(over="ignore"):
            half = matrix.astype(np.float16)
        if not np.isfinite(half).all():
            raise FileRefused("a number does not fit into fp16: ask for --dtype bf16 or fp32")
        return half
    bits = np.ascontiguousarray(matrix).view(np.uint32)
    rounded = bits.astype(np.uint64) + 0x7FFF + ((bits >> 16) & 1)
    return Raw(dtype="BF16", bits=(rounded >> 16).astype(np.uint16))


def _ranks(found: Mapping[Place, Factors]) -> tuple[int, ...]:
    return tuple(sorted({factors.down.shape[0] for factors in found.values()}))


def _read_back(out: Path, wanted: Mapping[Place, Factors], family: str, dtype: str) -> float:
    """Reads the new file as `check` does and compares every module's product; the largest difference."""
    header = read_header(out)
    inventory = inventory_of(out, header)
    if family_of(header.metadata, inventory) != family:
        raise FileRefused("the converted file was not recognised as what it was made of")
    _refuse([problem.text for problem in check_file(out).problems if problem.level == "error"])
    kept = read_factors(out, header, inventory, family, _ones(inventory))
    worst = max(difference(wanted.get(place), kept.get(place)) for place in wanted.keys() | kept.keys())
    if not worst <= 2 * DTYPES[dtype][1] + _SLACK:
        raise FileRefused(f"a module would differ by {worst:.1e} in {dtype}: ask for --dtype bf16 or fp32")
    return worst


def _ones(inventory: Inventory) -> dict[str, float]:
    """Alpha over rank as every tool sees it: 1 where there is no alpha."""
    return {
        base: 1.0 if module.alpha is None or not module.rank else module.alpha / module.rank
        for base, module in inventory.modules.items()
    }
