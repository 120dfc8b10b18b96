"""How this worker runs a plan: from what the device is to a `Fit`. Pure."""

from __future__ import annotations

from dataclasses import replace

from storage.domain.adapters import learning_numbers
from storage.domain.footprint import FOOTPRINTS
from storage.domain.orders import MAX_PICTURES, SubjectType
from storage.domain.plan import Fit, Plan
from storage.domain.recipes import PictureOf, plan_for
from storage.domain.rungs import Device, cached, fit_on, runs

__all__ = ["Device", "fit_for", "largest_recipe"]


def fit_for(plan: Plan, device: Device, before: Fit | None = None, *, pictures: int = MAX_PICTURES) -> Fit:
    """The fit of a plan on a device. `before` is the order's earlier fit, kept wherever this device can run it.

    A segment under another number of threads or another precision sums in another order, and the run would no longer equal
    an undisturbed one; only caches may lie elsewhere. Raises `TooSmall` where no fit is known.
    """
    if before is not None:
        before = cached(plan, before, device, pictures) or replace(before, caches="disk")
        if runs(plan, before, device, pictures):
            return before
    if plan.base in FOOTPRINTS and device.kind != "cpu":
        return fit_on(plan, device, pictures)
    small = _small(plan, device)
    return cached(plan, small, device, pictures) or replace(small, caches="disk")


def largest_recipe(base: str) -> Plan:
    """The plan of a base that takes most memory of those that members get: what a worker has to be able to run."""
    pictures = [PictureOf(id=str(n), dhash=n) for n in range(40)]
    plans = [
        plan_for(base=base, subject_type=kind, class_word="thing", trigger="zorvex", seed=1, pictures=pictures)
        for kind in SubjectType
    ]
    return max(plans, key=lambda plan: (plan.batch_size, learning_numbers(plan)))


def _small(plan: Plan, device: Device) -> Fit:
    """The pocket anywhere, and any base without a GPU: nothing has to be spared but time."""
    pocket = plan.base not in FOOTPRINTS
    return Fit(
        device=device.kind,
        precision="fp32",  # bf16 is slower than fp32 on the pocket's small layers (EXPERIMENTS.md, "Pocket base")
        micro_batch=plan.batch_size if pocket else 1,
        gradient_checkpointing=not pocket,
        threads=device.threads,
        deterministic=device.kind == "cpu" or device.deterministic,
    )
