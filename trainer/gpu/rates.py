"""The learning rate as a function of the step: nothing of it has to be kept for a resume."""

from __future__ import annotations

import math
from collections.abc import Sequence

from storage.domain.plan import Departure, Plan, learning_rate_factor


def learning_rate(plan: Plan, departures: Sequence[Departure], step: int) -> float:
    """The rate of `step` (from 1): linear warm-up, then constant or half a cosine to zero, halved by departures.

    While k <= W, the steps of the warm-up, it is rate * k / W (Goyal et al. 2017, arXiv 1706.02677, section 2.2: "gradual
    warmup", here from zero). A cosine of several cycles starts again at the full rate: rate * (1 + cos(pi t / T)) / 2 with t
    steps of a cycle of T done (Loshchilov and Hutter 2017, arXiv 1608.03983, section 3, equation 5, with least rate 0 and
    equal cycles).
    """
    rate = plan.learning_rate * learning_rate_factor(tuple(departures), step)
    if step <= plan.warmup_steps:
        return rate * step / plan.warmup_steps
    if plan.schedule == "constant":
        return rate
    done = (step - plan.warmup_steps - 1) / max(1, plan.steps - plan.warmup_steps)
    if plan.cosine_cycles > 1:
        done = done * plan.cosine_cycles % 1.0
    return rate * 0.5 * (1.0 + math.cos(math.pi * done))
