"""Which timesteps a step learns at: a density over the schedule, stratified over the views of the step.

u in (0, 1) stands for the share of the schedule: 0 is the clean end of it, 1 the noisy one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

from storage.domain.plan import Plan
from trainer.gpu.noise import stratified
from trainer.gpu.pictures import Shape

_EDGE = 1e-7


def timesteps(plan: Plan, shapes: Sequence[Shape], schedule_steps: int, step: int) -> list[int]:
    """One timestep for each view of `step`: the views' parts of the density are equal, in random order."""
    shares = stratified(len(shapes), seed=plan.seed, step=step)
    drawn = [shifted(density(plan, u), shift(plan, shape)) for u, shape in zip(shares, shapes, strict=True)]
    return [min(int(u * schedule_steps), schedule_steps - 1) for u in drawn]


def density(plan: Plan, u: float) -> float:
    """The share of the schedule at the quantile u of the plan's density.

    Logit-normal (Esser et al. 2024, arXiv 2403.03206, section 3.1): logit(t) is normal with mean m and standard
    deviation s; the paper's pi_ln(t; m, s).
    """
    if plan.timestep_density == "uniform":
        return u
    logit = NormalDist(plan.timestep_mean, plan.timestep_std).inv_cdf(min(max(u, _EDGE), 1.0 - _EDGE))
    return 1.0 / (1.0 + math.exp(-logit))


def shift(plan: Plan, shape: Shape) -> float:
    """The plan's factor for pictures of this shape: it grows with the root of their pixels where the plan says so."""
    if plan.timestep_shift_px is None:
        return plan.timestep_shift
    return plan.timestep_shift * math.sqrt(shape.height * shape.width) / plan.timestep_shift_px


def shifted(u: float, factor: float) -> float:
    """The odds u / (1 - u) times the factor: a u / (1 + (a - 1) u) (arXiv 2403.03206, section 5.3.2, equation 23)."""
    return u if factor == 1.0 else factor * u / (1.0 + (factor - 1.0) * u)
