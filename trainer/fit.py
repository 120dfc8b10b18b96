"""How this worker runs a plan: from what the device is to a `Fit`. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from storage.domain.plan import Fit, Plan

ROOMY_GIB = 40.0
"""From here a whole batch at 1024 px runs without gradient checkpointing, which costs a second forward pass; smaller cards
take that and one picture a pass. A starting value with room to spare: a child that still runs out of memory says so, and the
order is tried again."""


@dataclass(frozen=True, kw_only=True)
class Device:
    """What the child found to compute on."""

    kind: Literal["cpu", "cuda"]
    memory_gib: float | None
    """Of the GPU; None on the CPU or where nobody could say."""
    threads: int
    """CPU threads that the operator gives."""
    deterministic: bool = False
    """Whether the operator wants bit-equal runs on CUDA at some cost in speed."""


def fit_for(plan: Plan, device: Device, before: Fit | None = None) -> Fit:
    """The fit of a plan on a device. `before` is the order's earlier fit, kept wherever this device can run it.

    A segment under another number of threads or another precision sums in another order, and the run would no longer equal
    an undisturbed one.
    """
    if before is not None and before.device == device.kind and plan.batch_size % before.micro_batch == 0:
        return before
    if plan.base == "pocket":
        return _small(plan, device)
    return _large(plan, device)


def _small(plan: Plan, device: Device) -> Fit:
    return Fit(
        device=device.kind,
        precision="fp32",  # bf16 is slower than fp32 on these small layers (EXPERIMENTS.md, "Pocket base")
        micro_batch=plan.batch_size,
        gradient_checkpointing=False,
        threads=device.threads,
        deterministic=device.kind == "cpu" or device.deterministic,
    )


def _large(plan: Plan, device: Device) -> Fit:
    roomy = device.kind == "cuda" and device.memory_gib is not None and device.memory_gib >= ROOMY_GIB
    return Fit(
        device=device.kind,
        precision="bf16" if device.kind == "cuda" else "fp32",
        micro_batch=plan.batch_size if roomy else 1,
        gradient_checkpointing=not roomy,
        threads=device.threads,
        deterministic=device.kind == "cpu" or device.deterministic,
    )
