"""The ladder of fits: from a whole base with everything kept, down to one that lies in main memory. Pure.

A rung costs more time, or more of the base's precision, than the one above it; the first that fits is taken. What a GPU can
give is estimated (`footprint`), so a run that still meets the end of its memory steps down by itself (`Departure`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from storage.domain.errors import SetupError
from storage.domain.fit import (
    Departure,
    DepartureKind,
    DeviceKind,
    Fit,
    encoders_streamed,
    looks_at_once,
    micro_batch,
    offloaded,
    recomputed,
    tiled,
)
from storage.domain.footprint import FOOTPRINTS, main_gib, peak, usable_gib
from storage.domain.orders import MAX_PICTURES
from storage.domain.plan import Plan

UNKNOWN_GIB = 8.0
"""What a GPU is taken for whose memory nobody could say: the smallest one that is promised to work."""
UNTILED_GIB = 24.0
"""From here pictures are decoded whole: 3 GiB at 1024 px."""
MOST_LOOKS = 16
"""Pictures a forward pass without gradients, at most: more gain nothing."""
MAIN_SPARE_GIB = 3.0
"""Of main memory: for Python, PyTorch and CUDA's own side of it, the bot and the system. An estimate."""
RUNGS = ("whole", "half recomputed", "all recomputed", "encoders away", "8-bit base", "4-bit base", "base away")


@dataclass(frozen=True, kw_only=True)
class Device:
    """What the child found to compute on."""

    kind: DeviceKind
    memory_gib: float | None
    """Of the GPU; None on the CPU or where nobody could say."""
    threads: int
    """CPU threads that the operator gives."""
    deterministic: bool = False
    """Whether the operator wants bit-equal runs on CUDA at some cost in speed."""
    bf16: bool = True
    """Whether it computes in bf16 by itself; cards before 2020 and older Macs do not."""
    main_gib: float | None = None
    """Main memory that is free for this; None where nobody could say."""


class TooSmall(SetupError):
    """No way is known to train this on this GPU."""


def rung_of(fit: Fit) -> str:
    """What people call it."""
    if fit.offload:
        return RUNGS[6]
    if fit.quantised != "none":
        return RUNGS[4 if fit.quantised == "int8" else 5]
    if fit.encoders == "streamed":
        return RUNGS[3]
    if fit.gradient_checkpointing:
        return RUNGS[1 if fit.half_recomputed else 2]
    return RUNGS[0]


def ladder(plan: Plan, device: Device) -> Iterator[tuple[str, Fit]]:
    """Every fit that is tried, by the name of its rung; quantised bases are for CUDA alone."""
    memory = device.memory_gib or UNKNOWN_GIB
    whole = Fit(
        device=device.kind,
        precision="bf16" if device.kind != "cpu" and device.bf16 else "fp32",
        micro_batch=plan.batch_size,
        gradient_checkpointing=False,
        threads=device.threads,
        deterministic=device.kind == "cpu" or device.deterministic,
        vae_tiles=memory < UNTILED_GIB,
        looks_at_once=1,
    )
    for pictures in (n for n in range(plan.batch_size, 0, -1) if plan.batch_size % n == 0):
        yield RUNGS[0], replace(whole, micro_batch=pictures)
    single = replace(whole, micro_batch=1, gradient_checkpointing=True)
    yield RUNGS[1], replace(single, half_recomputed=True)
    yield RUNGS[2], single
    away = replace(single, encoders="streamed")
    yield RUNGS[3], away
    if device.kind == "cuda":
        yield RUNGS[4], replace(away, quantised="int8")
        yield RUNGS[5], replace(away, quantised="nf4")
    yield RUNGS[6], replace(away, offload=True)


def fit_on(plan: Plan, device: Device, pictures: int = MAX_PICTURES) -> Fit:
    """The first rung that fits a GPU and the machine around it. Raises `TooSmall` with the numbers, and with what would fit."""
    for _, fit in ladder(plan, device):
        found = cached(plan, fit, device, pictures)
        if found is not None:
            return replace(found, looks_at_once=_looks(plan, found, device, pictures))
    raise TooSmall(_what_would_fit(plan, device, pictures))


def cached(plan: Plan, fit: Fit, device: Device, pictures: int = MAX_PICTURES) -> Fit | None:
    """The fit with its caches in memory where they fit, else on disk; None where it fits neither way.

    Where they are read from changes no number, so an order that goes on may move them.
    """
    ways = (replace(fit, caches="memory"), replace(fit, caches="disk"))
    return next((way for way in ways if fits(plan, way, device, pictures)), None)


def fits(plan: Plan, fit: Fit, device: Device, pictures: int = MAX_PICTURES) -> bool:
    """Whether a fit's estimates are below what there is, on the GPU and in main memory; a small base is no matter to a GPU."""
    if device.main_gib is not None and main_gib(plan, fit, pictures) > device.main_gib - MAIN_SPARE_GIB:
        return False
    needed = peak(plan, fit, pictures)
    return fit.device == "cpu" or needed is None or needed.gib <= usable_gib(device.memory_gib or UNKNOWN_GIB)


def runs(plan: Plan, fit: Fit, device: Device, pictures: int = MAX_PICTURES) -> bool:
    """Whether a device can go on with a fit that another turn began with."""
    if fit.device != device.kind or plan.batch_size % fit.micro_batch or (fit.precision == "bf16" and not device.bf16):
        return False
    return device.memory_gib is None or device.kind == "cpu" or fits(plan, fit, device, pictures)


def least_gib(plan: Plan, kind: DeviceKind = "cuda", main: float | None = None) -> int:
    """The smallest card that some rung fits on, with `main` GiB of main memory free beside it; None has all that it takes."""
    small = Device(kind=kind, memory_gib=1.0, threads=1)
    rungs = [replace(fit, caches="disk") for _, fit in ladder(plan, small)]
    beside = [fit for fit in rungs if main is None or main_gib(plan, fit) <= main - MAIN_SPARE_GIB]
    return min(_card(plan, fit) for fit in beside or rungs)


def whole_gib(plan: Plan, kind: DeviceKind = "cuda") -> int:
    """The smallest card that the first rung fits on, one picture at a time: full speed."""
    large = Device(kind=kind, memory_gib=1000.0, threads=1)
    return min(_card(plan, fit) for name, fit in ladder(plan, large) if name == RUNGS[0])


def _card(plan: Plan, fit: Fit) -> int:
    """GiB of the smallest card that this fit's estimate is below; caches can lie on disk."""
    needed = peak(plan, replace(fit, caches="disk"))
    return next(gib for gib in range(1, 1000) if needed is None or usable_gib(gib) >= needed.gib)


def _looks(plan: Plan, fit: Fit, device: Device, pictures: int) -> int:
    """As many as fit, a power of two."""
    looks = MOST_LOOKS
    while looks > 1 and not fits(plan, replace(fit, looks_at_once=looks), device, pictures):
        looks //= 2
    return looks


def _what_would_fit(plan: Plan, device: Device, pictures: int) -> str:
    if device.main_gib is not None and _could(plan, replace(device, main_gib=None), pictures):
        return _too_little_main(plan, device, pictures)
    has = "an unknown amount" if device.memory_gib is None else f"{device.memory_gib:.0f} GiB"
    others = sorted(
        (least_gib(other), other.base)
        for other in (replace(plan, base=name, targets="attention") for name in FOOTPRINTS if name != plan.base)
        if _could(other, device, pictures)
    )
    offers = [f"a GPU of {least_gib(plan, device.kind, device.main_gib)} GiB"]
    smaller = [
        px for px in (768, 512) if px < plan.resolution and _could(replace(plan, resolution=px), device, pictures)
    ]
    offers += [f"{px} px instead of {plan.resolution}" for px in smaller[:1]]
    offers += ["rank 8" for _ in (1,) if plan.rank > 8 and _could(replace(plan, rank=8), device, pictures)]
    offers += [f"the base {others[-1][1]}"] if others else []
    return (
        f"{plan.base} at {plan.resolution} px and rank {plan.rank} does not fit on this GPU, which has {has}, even with the "
        f"base in main memory. What would: {'; or '.join(offers)}."
    )


def _too_little_main(plan: Plan, device: Device, pictures: int) -> str:
    """The GPU would do, with parts of the base beside it."""
    on_disk = [replace(fit, caches="disk") for _, fit in ladder(plan, device)]
    on_gpu = [fit for fit in on_disk if fits(plan, fit, replace(device, main_gib=None), pictures)]
    needed = min(main_gib(plan, fit, pictures) for fit in on_gpu) + MAIN_SPARE_GIB
    return (
        f"{plan.base} fits on this GPU only with parts of it in main memory, which takes {math.ceil(needed)} GiB there, and "
        f"{device.main_gib:.0f} GiB are free. Close other programs, or train on a smaller base or a larger GPU."
    )


def _could(plan: Plan, device: Device, pictures: int) -> bool:
    return any(cached(plan, fit, device, pictures) for _, fit in ladder(plan, device))


Work = Literal["step", "look", "pictures", "texts"]
"""What memory ran out in: a training step, a forward pass without gradients, encoding pictures or texts."""


def next_below(fit: Fit, departures: tuple[Departure, ...], step: int, work: Work) -> DepartureKind | None:
    """What a run gives up next where its memory ends, cheapest first; None where nothing is left.

    A base cannot be rounded in the middle of a run, so its matrices move to main memory in the end: no number changes for that.
    On a CPU there is no other memory to go to.
    """
    left: list[tuple[DepartureKind, bool]] = []
    if work == "step":
        left += [
            ("micro_batch_halved", micro_batch(fit, departures, step) > 1),
            ("all_recomputed", recomputed(fit, departures, step) != "all"),
        ]
    if work == "look":
        left.append(("looks_halved", looks_at_once(fit.looks_at_once or MOST_LOOKS, departures, step) > 1))
    if work in ("look", "pictures"):
        left.append(("vae_tiled", not tiled(fit, departures, step)))
    if fit.device != "cpu":
        left.append(("encoders_streamed", not encoders_streamed(fit, departures, step)))
        left.append(("base_offloaded", fit.quantised == "none" and not offloaded(fit, departures, step)))
    return next((kind for kind, possible in left if possible), None)
