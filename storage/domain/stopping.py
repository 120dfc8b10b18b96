"""Whether a training may end before its plan does: a pure function of what its checkpoints measured so far.

Two things can be known at a checkpoint: that more training only harms, and that nothing more is to be expected of it. Both
are asked by the rules that choose a checkpoint afterwards (`storage.domain.choice`): what could not win need not be trained.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from storage.domain.ballots import features_of
from storage.domain.choice import standard_error
from storage.domain.fit import Departure
from storage.domain.measurement import BROKEN, Flag, Measurement
from storage.domain.plan import Plan, Validation
from storage.domain.taste import Features, Taste, worth

FEWEST = 2
"""Checkpoints before anything is stopped: a vote needs something to choose from."""
FEWEST_TO_TRUST = 3
"""Checkpoints before a curve is taken at its word: one more than it has numbers to fit."""
CLEAR_LOSS = 0.05
"""With fewer, the rest has to be worse by this share: a curve through two points is wrong by about that, where the points are
off by 0.08 as those of four prompts are. Made-up trainings of four times the right length then give back half instead of two
fifths of their seconds, and those of the right length lose nothing by it (tests/benchmarks/stopping.py)."""
LEAST_GAIN = 0.01
"""Less than this share of the best utility is not worth waiting for: a hundredth is less than the noise of one checkpoint, and
what stopping may lose (EXPERIMENTS.md)."""
SLOWEST, TIMES = 16.0, 65
"""Time constants that are tried: from a sixteenth of the newest step to sixteen times it, so far that a curve is a line."""

Measured = Sequence[tuple[int, Measurement]]
"""(step, what was measured there) of the checkpoints so far, ascending."""


class Because(StrEnum):
    """Why a training ended early; kept as the departure's reason."""

    BROKEN = "broken"
    """Two checkpoints in a row are broken, and an earlier one is not."""
    BY_HEART = "by_heart"
    """Worse on held-out pictures, twice in a row; or once, where the drawn pictures did not get better either."""
    WORSE = "worse"
    """Two checkpoints in a row measured worse than an earlier one, by more than the standard error of the difference."""
    SETTLED = "settled"
    """By the curves of likeness and leakage, nothing that is still to come would be better by a hundredth."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether to stop after the newest checkpoint, and why."""

    stop: bool
    because: Because | None = None
    ahead: float | None = None
    """How much better the best checkpoint to come is expected to be than the best so far, as a share of that; None where it
    could not be told."""


def verdict(plan: Plan, measured: Measured) -> Verdict:
    """Whether the training ends after the newest of these checkpoints, by what was measured alone.

    It does not ask whether the plan allows that (`Plan.early_stop`), so recorded runs can be judged too. Never after the plan's
    last checkpoint, never before the second one; where nothing was drawn and measured, only held-out pictures speak.
    """
    if len(measured) < FEWEST or measured[-1][0] >= plan.steps or _all_broken(measured):
        return Verdict(stop=False)
    ahead = expected(plan, measured)
    because = next(_reasons(plan, measured, ahead), None)
    return Verdict(stop=because is not None, because=because, ahead=ahead)


def stopped_at(departures: Iterable[Departure]) -> int | None:
    """After which step a run ended early; None where it did not, or not yet."""
    return min((d.step for d in departures if d.kind == "stopped_early"), default=None)


def marks(plan: Plan, departures: Iterable[Departure]) -> tuple[int, ...]:
    """The checkpoints of a run as far as it goes: the plan's, up to where it ended early."""
    last = stopped_at(departures)
    return tuple(step for step in plan.checkpoint_steps if last is None or step <= last)


def _reasons(plan: Plan, measured: Measured, ahead: float | None) -> Iterator[Because]:
    newest, before = measured[-1][1], measured[-2][1]
    if _broken(newest) and _broken(before):
        yield Because.BROKEN
    vetoed = Flag.VALIDATION_VETO in newest.flags
    if vetoed and (Flag.VALIDATION_VETO in before.flags or _told(plan, measured, better=False)):
        yield Because.BY_HEART
    if len(measured) > FEWEST and _told(plan, measured, worse=True) and _told(plan, measured[:-1], worse=True):
        yield Because.WORSE
    if ahead is not None and ahead < (LEAST_GAIN if len(_alike(measured)) >= FEWEST_TO_TRUST else -CLEAR_LOSS):
        yield Because.SETTLED


def _told(plan: Plan, measured: Measured, *, better: bool | None = None, worse: bool | None = None) -> bool:
    """Whether the newest is (not) better, or worse, than the best before it by more than an error of the paired difference.

    False where they cannot be compared.
    """
    if measured[-1][1].likeness is None and plan.validation is not Validation.FULL:
        return False  # numbers from training pictures alone only ever fall
    now = measured[-1][1].utilities
    rivals = [m.utilities for _, m in _alike(measured)[:-1] if len(m.utilities) == len(now) and not _broken(m)]
    if len(now) < 2 or not rivals or not all(map(math.isfinite, now)):
        return False
    differences = [a - b for a, b in zip(now, max(rivals, key=math.fsum), strict=True)]
    mean = math.fsum(differences) / len(differences)
    error = standard_error(differences)
    return (mean > error) == better if better is not None else (mean < -error) == worse


def expected(plan: Plan, measured: Measured) -> float | None:
    """How much better the best checkpoint to come would be than the best so far, as a share of that; negative where worse.

    Likeness and leakage are drawn on by the curve a (1 - exp(-step / t)) from the untrained base, where both are 0 by
    definition; adherence and variety are kept. Fitted values are compared with fitted values, so that the noise of one
    checkpoint is not taken for a loss or a gain. None with too few checkpoints of the newest's eye, or where one of them was not
    measured.
    """
    alike = _alike(measured)
    known = [(step, found) for step, m in alike if not _broken(m) and (found := features_of(m)) is not None]
    if len(known) < max(FEWEST, len(alike)) or plan.steps <= known[-1][0]:
        return None
    steps, last = [step for step, _ in known], known[-1][1]
    likeness = _curve_through(steps, [f.likeness for _, f in known])
    leakage = _curve_through(steps, [f.leakage for _, f in known])

    def at(step: int) -> float:
        return _worth(last, likeness.at(step), leakage.at(step), plan.taste)

    so_far = max(map(at, steps))
    to_come = max(at(step) for step in plan.checkpoint_steps if step > steps[-1])
    return round(to_come / so_far - 1.0, 6) if so_far > 0 else None


def _worth(features: Features, likeness: float, leakage: float, taste: Taste) -> float:
    shown = Features(
        likeness=likeness, adherence=features.adherence, variety=features.variety, leakage=min(leakage, 1.0)
    )
    return worth(shown, taste)


@dataclass(frozen=True, kw_only=True)
class _Curve:
    """a (1 - exp(-step / t))."""

    top: float
    time: float

    def at(self, step: float) -> float:
        """Its height."""
        return -self.top * math.expm1(-step / self.time)


def _curve_through(steps: Sequence[int], values: Sequence[float]) -> _Curve:
    """Least squares: `top` in closed form for each of a row of times; the slowest of equals, which promises most."""
    times = [steps[-1] * SLOWEST ** (2.0 * n / (TIMES - 1) - 1.0) for n in range(TIMES)]
    curves = [_curve_of(time, steps, values) for time in times]

    def error(curve: _Curve) -> float:
        return math.fsum((curve.at(s) - v) ** 2 for s, v in zip(steps, values, strict=True))

    return min(curves, key=lambda curve: (round(error(curve), 12), -curve.time))


def _curve_of(time: float, steps: Sequence[int], values: Sequence[float]) -> _Curve:
    shape = [-math.expm1(-step / time) for step in steps]
    top = math.fsum(s * v for s, v in zip(shape, values, strict=True)) / math.fsum(s * s for s in shape)
    return _Curve(top=max(top, 0.0), time=time)


def _alike(measured: Measured) -> Measured:
    """Those whose likeness the newest's eye said too: eyes have scales of their own, and a training may go on where there are
    others.
    """
    return [(step, m) for step, m in measured if m.likeness_by == measured[-1][1].likeness_by]


def _broken(measurement: Measurement) -> bool:
    return bool(BROKEN & set(measurement.flags))


def _all_broken(measured: Measured) -> bool:
    return all(_broken(m) for _, m in measured)
