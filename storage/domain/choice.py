"""Which checkpoint, and at which scale: pure functions from votes and measurements, with their reasons.

Members' votes decide; measurements inform them, break ties and speak where nobody voted (DESIGN, section 4).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from storage.domain.measurement import BROKEN, Flag, Measurement, ScaleChoice, ScalePoint
from storage.domain.orders import SubjectType

LIKENESS_WEIGHT: dict[SubjectType, float] = {
    SubjectType.PERSON: 0.7,
    SubjectType.CHARACTER: 0.6,
    SubjectType.OBJECT: 0.6,
    SubjectType.STYLE: 0.4,
}
"""How much likeness counts against adherence; starting values until votes have taught better ones."""

BAND_SHARE = 0.95
"""The scale band is where the fitted utility stays within 5 % of its best."""

SMALLEST_DIFFERENCE = 0.01
"""Utilities of a sweep that differ by less say nothing about the scale: a LoRA that does nothing has them all alike."""


class Because(StrEnum):
    """Why a checkpoint was chosen."""

    VOTES = "votes"
    TIE_BROKEN_BY_MEASUREMENT = "tie_broken_by_measurement"
    MEASUREMENT = "measurement"
    LAST = "last"


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One checkpoint that could be chosen."""

    step: int
    votes: int
    measurement: Measurement | None

    @property
    def broken(self) -> bool:
        """Whether it may not win at all."""
        return self.measurement is not None and bool(BROKEN & set(self.measurement.flags))


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The chosen checkpoint and why."""

    step: int
    because: Because
    measured_best: int | None
    """What measurement alone would have chosen; None where nothing was measured."""
    votes: int
    """Votes for the chosen one."""
    runner_up_votes: int
    """Most votes that another checkpoint got."""


class NothingToChoose(ValueError):
    """No checkpoint can be chosen: there is none, or all are broken."""


def utility(*, likeness: float, adherence: float, leakage: float, variety: float, subject_type: SubjectType) -> float:
    """How good a checkpoint or a scale is, in [0, 1].

    Weighted harmonic mean of likeness and adherence (both capped at 1), times variety^0.25 (capped at 1) and a penalty for
    leakage: a half where others change as much as by another seed, growing with its square, because others that move by half
    as much keep class, colour, shape and place by eye (EXPERIMENTS.md, "What likeness measures"). The harmonic mean makes a
    lack of either count; likeness alone rewards copies, adherence alone rewards the base (the trade-off of DreamBooth, Ruiz
    et al. 2023, arXiv 2208.12242, section 4).
    """
    weight = LIKENESS_WEIGHT[subject_type]
    like, adhere = (min(max(x, 1e-6), 1.0) for x in (likeness, adherence))
    mean = 1.0 / (weight / like + (1.0 - weight) / adhere)
    spread = min(max(variety, 0.0), 1.0) ** 0.25
    return float(mean * spread * (1.0 - 0.5 * min(max(leakage, 0.0), 1.0) ** 2))


def measured_best(candidates: Sequence[Candidate]) -> Candidate | None:
    """The earliest checkpoint whose paired difference to the best is within one standard error of that difference.

    Pairs are the same prompt and seeds at two checkpoints; one that was measured on fewer, or not in numbers, cannot be
    compared and is passed over. Vetoed checkpoints (held-out loss rose) stand back unless all are.
    """
    measured = [c for c in candidates if _comparable(c) and not c.broken]
    pairs = max((len(_utilities(c)) for c in measured), default=0)
    measured = [c for c in measured if len(_utilities(c)) == pairs]
    allowed = [c for c in measured if Flag.VALIDATION_VETO not in _flags(c)] or measured
    if not allowed:
        return None
    best = max(allowed, key=lambda c: (_mean(_utilities(c)), -c.step))
    return min((c for c in allowed if _within_one_error(best, c)), key=lambda c: c.step)


def choose_checkpoint(candidates: Sequence[Candidate]) -> Choice:
    """The checkpoint that is delivered, and why. Raises `NothingToChoose`."""
    able = [c for c in candidates if not c.broken]
    if not able:
        raise NothingToChoose("no checkpoint can be chosen")
    top = max(c.votes for c in able)
    first = [c for c in able if c.votes == top]
    best = measured_best(able)
    if top > 0 and len(first) == 1:
        return _choice(first[0], Because.VOTES, able, best)
    among = measured_best(first)
    if among is None:
        return _choice(max(first, key=lambda c: c.step), Because.LAST, able, best)
    return _choice(among, Because.TIE_BROKEN_BY_MEASUREMENT if top > 0 else Because.MEASUREMENT, able, best)


def _choice(chosen: Candidate, because: Because, able: Sequence[Candidate], best: Candidate | None) -> Choice:
    others = [c.votes for c in able if c.step != chosen.step]
    return Choice(
        step=chosen.step,
        because=because,
        measured_best=None if best is None else best.step,
        votes=chosen.votes,
        runner_up_votes=max(others, default=0),
    )


def _within_one_error(best: Candidate, other: Candidate) -> bool:
    differences = [a - b for a, b in zip(_utilities(best), _utilities(other), strict=True)]
    return _mean(differences) <= _standard_error(differences)


def _comparable(candidate: Candidate) -> bool:
    return bool(_utilities(candidate)) and all(map(math.isfinite, _utilities(candidate)))


def _flags(candidate: Candidate) -> tuple[Flag, ...]:
    return candidate.measurement.flags if candidate.measurement else ()


def _utilities(candidate: Candidate) -> tuple[float, ...]:
    return candidate.measurement.utilities if candidate.measurement else ()


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _standard_error(values: Sequence[float]) -> float:
    if len(values) < 2:
        return 0.0
    mean = _mean(values)
    return math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1) / len(values))


def choose_scale(points: Sequence[ScalePoint]) -> ScaleChoice:
    """The recommended scale and its band: the top of a parabola through utility over scale, least squares.

    Where the parabola has no top (utility still rises, or the points bend upwards) the best measured point is taken and the
    band is read from straight lines between the points. Where no scale is better than another, 1.0 is given as not measured.
    Raises `NothingToChoose` without points.
    """
    if not points:
        raise NothingToChoose("no scale was measured")
    ordered = tuple(sorted(points, key=lambda p: p.scale))
    heights = [p.utility for p in ordered]
    if len(ordered) > 1 and max(heights) - min(heights) < SMALLEST_DIFFERENCE:
        return ScaleChoice(recommended=1.0, low=1.0, high=1.0, points=ordered, measured=False)
    return _top_of(ordered)


def _top_of(ordered: tuple[ScalePoint, ...]) -> ScaleChoice:
    curve = smooth_curve(ordered)
    low, high = ordered[0].scale, ordered[-1].scale
    grid = [low + (high - low) * i / 200 for i in range(201)] if high > low else [low]
    heights = [curve(s) for s in grid]
    top = max(range(len(grid)), key=lambda i: (heights[i], -i))
    left = right = top
    while left > 0 and heights[left - 1] >= BAND_SHARE * heights[top]:
        left -= 1
    while right < len(grid) - 1 and heights[right + 1] >= BAND_SHARE * heights[top]:
        right += 1
    recommended, band_low, band_high = (round(round(s / 0.05) * 0.05, 2) for s in (grid[top], grid[left], grid[right]))
    return ScaleChoice(
        recommended=recommended,
        low=min(band_low, recommended),
        high=max(band_high, recommended),
        points=ordered,
    )


def smooth_curve(points: Sequence[ScalePoint]) -> Callable[[float], float]:
    """Utility over scale: a least-squares parabola where it has a top inside the points, else straight lines between them."""
    if len(points) >= 4:
        a, b, c = _parabola([p.scale for p in points], [p.utility for p in points])
        if a < 0 and points[0].scale <= -b / (2 * a) <= points[-1].scale:
            return lambda s: a * s * s + b * s + c
    return lambda s: _between(points, s)


def _between(points: Sequence[ScalePoint], scale: float) -> float:
    for left, right in pairwise(points):
        if scale <= right.scale:
            share = (scale - left.scale) / (right.scale - left.scale)
            return left.utility + share * (right.utility - left.utility)
    return points[-1].utility


def _parabola(xs: Sequence[float], ys: Sequence[float]) -> tuple[float, float, float]:
    """Least-squares a, b, c of a x^2 + b x + c, by the normal equations and Cramer's rule."""
    s = [math.fsum(x**k for x in xs) for k in range(5)]
    t = [math.fsum(y * x**k for x, y in zip(xs, ys, strict=True)) for k in range(3)]
    matrix = [[s[4], s[3], s[2]], [s[3], s[2], s[1]], [s[2], s[1], s[0]]]
    right = [t[2], t[1], t[0]]
    whole = _determinant(matrix)
    a, b, c = (
        _determinant([[right[i] if j == k else row[j] for j in range(3)] for i, row in enumerate(matrix)]) / whole
        for k in range(3)
    )
    return a, b, c


def _determinant(m: Sequence[Sequence[float]]) -> float:
    return (
        m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1])
        - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
        + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
    )
