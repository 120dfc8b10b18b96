"""The running loss of a training against the base's own, and when it says that the adapter is broken."""

from __future__ import annotations

from collections.abc import Sequence

from storage.domain.plan import Plan
from trainer.gpu.judge.strata import stratum
from trainer.gpu.loop import StepLoss

START = 1.0
"""A fresh adapter says what the base says."""
SMOOTH = 0.9
"""Weight of the past: about ten steps."""
BROKEN = 1.5
"""A running loss so far above the base's is an adapter that has unlearnt what the base knew.

Measured on the pocket, one picture a step, 40 to 120 steps: at 1, 4 and 10 times its rate the running loss was at most 1.02
times the base's; at 50 and 100 times 1.9, past 1.5 after 11 and 3 steps.
"""
JUMPED = 10.0
"""So many times the running loss is no chance: single steps of the runs above reached 2.0 times, broken ones 5.4."""


class Exploded(ArithmeticError):
    """The loss is so far above the base's, or above its own running value, that a step must have broken the adapter."""


def ratio(loss: StepLoss, base_by_stratum: Sequence[float], edges: Sequence[int]) -> float:
    """A step's loss over the base's at like timesteps; `edges` are where the strata begin."""
    strata = [stratum(t, edges) for t in loss.t_B]
    return sum(plain / base_by_stratum[k] for plain, k in zip(loss.plain_B, strata, strict=True)) / len(strata)


def beat(before: float, now: float, plan: Plan) -> float:
    """The running ratio after a step of ratio `now`. Raises `Exploded`.

    The base was measured under white noise: where a plan adds to it the base itself does worse, and only jumps count.
    """
    running = SMOOTH * before + (1.0 - SMOOTH) * now
    white = not plan.noise_offset and not plan.pyramid_noise
    if now > JUMPED * max(START, before) or (white and running > BROKEN):
        raise Exploded(
            f"the loss rose to {now:.3g} times the base's, {running:.3g} over ten steps, {before:.3g} before"
        )
    return running
