"""At which strength a file works best: which scales to try, a smooth curve through them, its top, its band, and how sure.

Pure: points in, a choice out. What a point measures is in `storage.domain.measurement`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

from storage.domain.choice import NothingToChoose
from storage.domain.measurement import ScaleChoice, ScalePoint

LEAST, MOST = 0.3, 1.2
"""Where the first scales lie: below, a LoRA of ours shows nothing, above users rarely go. More may be tried beyond."""
MORE = 2
"""So many of the scales are measured last, beside the best of those before."""
BAND_SHARE = 0.95
"""The scale band is where the fitted utility stays within 5 % of its best."""
SMALLEST_DIFFERENCE = 0.01
"""Utilities of a sweep that differ by less say nothing about the scale: a LoRA that does nothing has them all alike."""
REACH = 0.15
"""How far a point is heard by the curve: the standard deviation of a Gaussian, in scales (EXPERIMENTS.md, "Scale")."""
REDRAWS = 400
"""Bootstrap draws of the prompts."""
_FINE = 0.01
_SAID = 0.05
"""Scales are said in steps of this."""


def divided(count: int) -> int:
    """How many of so many scales are measured first: all but `MORE`, and three at least, or all there are."""
    return max(min(3, count), count - MORE)


def first_scales(count: int = 4) -> tuple[float, ...]:
    """The scales that are measured first, each the same factor above the one before. Raises `ValueError` for fewer than two.

    A factor and not a distance: a file trained twice as long has about the same curve at half the scale.
    """
    if count < 2:
        raise ValueError("two scales at least: one compares with nothing")
    return tuple(round(LEAST * (MOST / LEAST) ** (n / (count - 1)), 2) for n in range(count))


def next_scales(points: Sequence[ScalePoint], most: int = MORE) -> tuple[float, ...]:
    """Two more scales at most: in the middle of the gaps on both sides of the best so far, or half a gap beyond the end it is at.

    So a file that was trained far too long, or too little, is followed beyond the first scales; a top among them would be found
    as well by the same number spread evenly (EXPERIMENTS.md, "Scale"). A single one goes beyond the end, or to the side on
    which the top is. Empty where the points do not differ, or are too few.
    """
    if len(points) < 2 or not _differ(points):
        return ()
    ordered = sorted(points, key=lambda p: p.scale)
    at = max(range(len(ordered)), key=lambda n: (ordered[n].utility, -n))
    scales = [p.scale for p in ordered]
    below = scales[at] - scales[at - 1] if at else scales[1] - scales[0]
    above = scales[at + 1] - scales[at] if at + 1 < len(scales) else scales[-1] - scales[-2]
    lower = scales[at] / 2 if below >= scales[at] else scales[at] - below / 2
    both = round(lower, 2), round(scales[at] + above / 2, 2)
    return both[:most] if most != 1 else (both[_climbs(ordered, at)],)


def _climbs(ordered: Sequence[ScalePoint], at: int) -> bool:
    """Whether the top is above this best point: by the slope there of the parabola through it and its neighbours.

    Nobody knows what is beyond an end, so it is sought there.
    """
    if at in (0, len(ordered) - 1):
        return at > 0
    left, best, right = ordered[at - 1 : at + 2]
    below, above = best.scale - left.scale, right.scale - best.scale
    return (best.utility - left.utility) * above**2 > (best.utility - right.utility) * below**2


def choose_scale(points: Sequence[ScalePoint]) -> ScaleChoice:
    """The recommended scale, its band, and how sure it is: the top of a smooth curve through utility over scale.

    How sure: the prompts are drawn anew with replacement, the whole choice is made again (Efron 1979, Annals of Statistics
    7, 1-26), and the middle 95 % of the tops are told; of a few prompts that is rather too narrow. Where no scale is better
    than another, 1.0 is given as not measured. Raises `NothingToChoose` without points.
    """
    if not points:
        raise NothingToChoose("no scale was measured")
    ordered = tuple(sorted(points, key=lambda p: p.scale))
    if len(ordered) > 1 and not _differ(ordered):
        return ScaleChoice(recommended=1.0, low=1.0, high=1.0, points=ordered, measured=False)
    choice = _top_of(ordered)
    return replace(choice, between=_between(ordered, choice.recommended))


def _differ(points: Sequence[ScalePoint]) -> bool:
    heights = [p.utility for p in points]
    return max(heights) - min(heights) >= SMALLEST_DIFFERENCE


def _top_of(ordered: tuple[ScalePoint, ...]) -> ScaleChoice:
    curve, grid = smooth_curve(ordered), _grid(ordered, _FINE)
    heights = [curve(s) for s in grid]
    top = _top(heights)
    left = right = top
    while left > 0 and heights[left - 1] >= BAND_SHARE * heights[top]:
        left -= 1
    while right < len(grid) - 1 and heights[right + 1] >= BAND_SHARE * heights[top]:
        right += 1
    recommended, low, high = (_said(grid[at]) for at in (top, left, right))
    return ScaleChoice(
        recommended=recommended,
        low=min(low, recommended),
        high=max(high, recommended),
        points=ordered,
    )


def _between(ordered: Sequence[ScalePoint], recommended: float) -> tuple[float, float] | None:
    """The middle 95 % of the tops when prompts are drawn anew; None with fewer than three prompts."""
    prompts = len(ordered[0].utilities)
    if prompts < 3 or any(len(p.utilities) != prompts for p in ordered) or len(ordered) < 2:
        return None
    grid = _grid(ordered, _SAID)
    rows = [_voices([p.scale for p in ordered], s) for s in grid]
    dice, tops = Random(0), []
    for _ in range(REDRAWS):
        drawn = dice.choices(range(prompts), k=prompts)
        heights = [math.fsum(p.utilities[n] for n in drawn) / prompts for p in ordered]
        tops.append(grid[_top([math.fsum(v * h for v, h in zip(row, heights, strict=True)) for row in rows])])
    tops.sort()
    low, high = tops[round(0.025 * (REDRAWS - 1))], tops[round(0.975 * (REDRAWS - 1))]
    return min(_said(low), recommended), max(_said(high), recommended)


def smooth_curve(points: Sequence[ScalePoint]) -> Callable[[float], float]:
    """Utility over scale: at each scale a parabola by least squares, in which near points count more.

    Locally weighted regression (Cleveland 1979, JASA 74, 829-836) of degree two with a Gaussian of `REACH`. One parabola for
    all is pulled away from the top by the foot of the curve, where a LoRA does nothing yet.
    """
    scales, heights = [p.scale for p in points], [p.utility for p in points]

    def curve(scale: float) -> float:
        return math.fsum(v * h for v, h in zip(_voices(scales, scale), heights, strict=True))

    return curve


def _voices(scales: Sequence[float], at: float) -> list[float]:
    """How much each measured point counts in the curve's height at one scale: it is linear in the heights.

    The first row of (X'WX)^-1 X'W for the columns 1, x, x^2 with x = scale - at: the fitted height at x = 0.
    """
    away = [(s - at) / REACH for s in scales]
    weights = [math.exp(-0.5 * x * x) for x in away]
    degree = min(2, len(scales) - 1)
    sums = [math.fsum(w * x**k for w, x in zip(weights, away, strict=True)) for k in range(2 * degree + 1)]
    matrix = [[sums[row + column] for column in range(degree + 1)] for row in range(degree + 1)]
    first = _solved(matrix, [1.0] + [0.0] * degree)
    return [w * math.fsum(c * x**k for k, c in enumerate(first)) for w, x in zip(weights, away, strict=True)]


def _solved(matrix: list[list[float]], right: list[float]) -> list[float]:
    """Gaussian elimination with pivots, of three equations at most."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    size = len(rows)
    for at in range(size):
        best = max(range(at, size), key=lambda n: abs(rows[n][at]))
        rows[at], rows[best] = rows[best], rows[at]
        for n in range(size):
            if n != at:
                times = rows[n][at] / rows[at][at]
                rows[n] = [a - times * b for a, b in zip(rows[n], rows[at], strict=True)]
    return [row[-1] / row[n] for n, row in enumerate(rows)]


def _grid(ordered: Sequence[ScalePoint], step: float) -> list[float]:
    low, high = ordered[0].scale, ordered[-1].scale
    count = max(1, round((high - low) / step))
    return [low + (high - low) * n / count for n in range(count + 1)] if high > low else [low]


def _top(heights: Sequence[float]) -> int:
    """The first of the highest."""
    return max(range(len(heights)), key=lambda n: (heights[n], -n))


def _said(scale: float) -> float:
    return round(round(scale / _SAID) * _SAID, 2)
