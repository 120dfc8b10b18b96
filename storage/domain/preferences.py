"""What members like, from their ballots: the taste of a subject type, fitted by logistic regression on pairs.

Bradley and Terry 1952 (Biometrika 39, 324-345): a beats b with probability s_a / (s_a + s_b). With s = exp(k u) for the worth u of
`storage.domain.taste` this is 1 / (1 + exp(-k (u_a - u_b))). Fitted are the three numbers of the taste and k, how sharply members
tell checkpoints apart: where their votes have nothing to do with what is measured, k falls, and the taste stays where it was.
(Hunter 2004, Annals of Statistics 32, 384-406, fits generalised models of the kind by minorisation; four parameters with a prior
are done by Newton's method.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from storage.domain.ballots import Comparison
from storage.domain.taste import Taste, slopes, worth

SHARPNESS = 10.0
"""k to begin with: a tenth of utility is liked better by 73 % of people."""
PRIOR_SD = (0.1, 0.1, 0.2, 0.5)
"""Standard deviations of the Gaussian prior: likeness, variety, leakage, log k. They are tight: see `REACH`."""
REACH = (0.4, 0.25, 0.5, math.inf)
"""How far each may ever go from where it began; log k decides nothing by itself and is free."""
ENDS = ((0.05, 0.95), (0.0, 1.0), (0.0, 1.0), (-math.inf, math.inf))
"""As far as a plan takes them: `storage.domain.taste.Judging`."""
HALF_WAY = 70
"""So many ballots open half of the reach: n ballots may move a number by at most reach * n / (n + 70).

Ten ballots therefore move the weight of likeness by at most 0.05, whatever they say and whatever was measured, and 500 open
88 % of the reach. The prior alone gives no such bound, for what a ballot pulls depends on what was measured.
"""
ROUNDED = 2
"""Decimals that are used: less is noise, and plans would change with every ballot."""
MOST_ROUNDS = 50
MOST_HALVINGS = 30
STILL = 1e-5


@dataclass(frozen=True, kw_only=True)
class Preference:
    """What was fitted."""

    taste: Taste
    """Rounded, within its reach."""
    sharpness: float
    """k."""


def fitted(usual: Taste, comparisons: Sequence[Comparison], ballots: int) -> Preference:
    """The taste with the highest posterior, near `usual` by as much as `ballots` ballots allow. Deterministic."""
    start = (usual.likeness, usual.variety, usual.leakage, math.log(SHARPNESS))
    at = _highest(start, comparisons, [_span(*each, ballots) for each in zip(start, REACH, ENDS, strict=True)])
    likeness, variety, leakage = (round(x, ROUNDED) for x in at[:3])
    return Preference(
        taste=Taste(likeness=likeness, variety=variety, leakage=leakage), sharpness=round(math.exp(at[3]), ROUNDED)
    )


def _span(mean: float, reach: float, ends: tuple[float, float], ballots: int) -> tuple[float, float]:
    far = reach * ballots / (ballots + HALF_WAY) if ballots else 0.0
    return max(mean - far, ends[0]), min(mean + far, ends[1])


def _highest(
    start: tuple[float, ...], comparisons: Sequence[Comparison], spans: Sequence[tuple[float, float]]
) -> list[float]:
    """Newton's method with expected curvature (Fisher scoring), steps halved until they help, kept within the spans.

    What stands at the end of its span is left out of the step, so that the others find their best place beside it.
    """
    at, here = list(start), _posterior(start, start, comparisons)
    for _ in range(MOST_ROUNDS):
        free = [k for k in range(4) if not _pushed_out(at[k], here.gradient[k], spans[k])]
        found = _solved([[here.curvature[i][j] for j in free] for i in free], [here.gradient[i] for i in free])
        step = dict(zip(free, found, strict=True))
        for halving in range(MOST_HALVINGS):
            moved = [min(max(at[k] + step.get(k, 0.0) / 2**halving, spans[k][0]), spans[k][1]) for k in range(4)]
            there = _posterior(moved, start, comparisons)
            if there.value >= here.value:
                break
        else:
            return at
        far = max(abs(a - b) for a, b in zip(moved, at, strict=True))
        at, here = moved, there
        if far < STILL:
            break
    return at


def _pushed_out(at: float, pull: float, span: tuple[float, float]) -> bool:
    return (at <= span[0] and pull < 0) or (at >= span[1] and pull > 0)


@dataclass(frozen=True, kw_only=True)
class _Posterior:
    """Its logarithm at one place, with gradient and expected curvature."""

    value: float
    gradient: list[float]
    curvature: list[list[float]]


def _posterior(at: Sequence[float], start: Sequence[float], comparisons: Sequence[Comparison]) -> _Posterior:
    taste, sharp = Taste(likeness=at[0], variety=at[1], leakage=at[2]), math.exp(at[3])
    judged = {shown: (worth(shown, taste), slopes(shown, taste)) for c in comparisons for shown in (c.better, c.worse)}
    value = -sum(((a - m) / sd) ** 2 / 2 for a, m, sd in zip(at, start, PRIOR_SD, strict=True))
    gradient = [-(a - m) / sd**2 for a, m, sd in zip(at, start, PRIOR_SD, strict=True)]
    curvature = [[1.0 / PRIOR_SD[i] ** 2 if i == j else 0.0 for j in range(4)] for i in range(4)]
    for c in comparisons:
        (better, up), (worse, down) = judged[c.better], judged[c.worse]
        ahead = sharp * (better - worse)
        slope = [*(sharp * (a - b) for a, b in zip(up, down, strict=True)), ahead]
        missed = math.exp(_log_sigmoid(-ahead))
        value += c.weight * _log_sigmoid(ahead)
        spread = c.weight * missed * (1.0 - missed)
        for i in range(4):
            gradient[i] += c.weight * missed * slope[i]
            for j in range(4):
                curvature[i][j] += spread * slope[i] * slope[j]
    return _Posterior(value=value, gradient=gradient, curvature=curvature)


def _log_sigmoid(x: float) -> float:
    return -math.log1p(math.exp(-x)) if x > 0 else x - math.log1p(math.exp(x))


def _solved(matrix: list[list[float]], right: list[float]) -> list[float]:
    """Gauss's elimination; the matrix is positive definite, for the prior is in it."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    size = len(rows)
    for k in range(size):
        for below in range(k + 1, size):
            share = rows[below][k] / rows[k][k]
            rows[below] = [b - share * a for a, b in zip(rows[k], rows[below], strict=True)]
    found = [0.0] * size
    for k in reversed(range(size)):
        known = math.fsum(rows[k][j] * found[j] for j in range(k + 1, size))
        found[k] = (rows[k][size] - known) / rows[k][k]
    return found
