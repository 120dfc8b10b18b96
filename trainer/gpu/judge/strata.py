"""Which timesteps are judged: the middles of equally likely parts of the density that the plan trains with.

Shapes differ where a plan shifts its density with the size of the picture, so every picture has its own eight.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from storage.domain.plan import Plan
from trainer.gpu.pictures import Shape
from trainer.gpu.timesteps import density, shift, shifted

STRATA = 8
"""Parts of equal probability under the training density, from clean to noisy."""


def middles(plan: Plan, shape: Shape, steps: int) -> tuple[int, ...]:
    """The median timestep of each part, for pictures of this shape; of a uniform density the middles of equal parts."""
    return tuple(_moment(plan, shape, steps, (k + 0.5) / STRATA) for k in range(STRATA))


def edges(plan: Plan, shape: Shape, steps: int) -> tuple[int, ...]:
    """Where each part but the first begins."""
    return tuple(_moment(plan, shape, steps, k / STRATA) for k in range(1, STRATA))


def stratum(timestep: int, begins: Sequence[int]) -> int:
    """Which part a timestep lies in; `begins` are its `edges`."""
    return bisect_right(begins, timestep)


def _moment(plan: Plan, shape: Shape, steps: int, quantile: float) -> int:
    return min(int(shifted(density(plan, quantile), shift(plan, shape)) * steps), steps - 1)
