"""How much training is enough, from the checkpoints that members chose: recipes learn steps and learning rate.

The dose of a checkpoint is its steps times its learning rate, next to what the recipe itself says for the same pictures. To
small rates the two are exchangeable (gradient descent at half the rate for twice the steps ends near the same place), so one
number is learned for each base and subject type.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from storage.domain.ballots import ClosedBallot, lead, winner
from storage.domain.lesson import Dose
from storage.domain.recipes import rates_for, recipe_named, steps_for

AIM = 0.8
"""Where in its plan a recipe means the best checkpoint to be: the last but one, so that one too many is seen."""
SPREAD = 0.25
"""How different the right doses of orders are: scale of a logistic distribution of their logarithm (its standard deviation is
0.45: a third of the orders need more than half as much again, or less than two thirds)."""
PRIOR_SD = 0.055
"""Of the Gaussian prior around the recipe's own dose. A ballot pulls by less than 1 / `SPREAD`, so n ballots move the
logarithm by less than n * PRIOR_SD**2 / SPREAD: ten ballots change a dose by at most 15 %, whatever they say."""
MOST = 2.0
"""Neither steps nor rate is changed by more than this factor: with the prior this is how wrong learning can go."""
NEAR = 4.5
"""Plans whose whole dose is further from the recipe's than this factor say nothing; steps and rate together can reach four."""
STRIDE = 0.05
"""Factors are used in steps of this: less is noise, and plans would change with every ballot."""


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Between which doses the right one lay: logarithms, next to the recipe's own."""

    above: float
    """Minus infinity where the first checkpoint won: "at most"."""
    below: float
    """Infinity where the last one won: "at least". Where the training ended early, nothing better was to be expected of the next
    checkpoint, so it counts as seen and not chosen: else what ends early would ask for more."""
    weight: float


def chosen(ballot: ClosedBallot) -> Chosen | None:
    """What a ballot says about the dose.

    None without a winner, where another recipe or several subjects were trained, and where an operator made the plan so short
    or so long that the recipe's own dose is nowhere near it.
    """
    best = winner(ballot)
    if best is None or ballot.concepts or recipe_named(ballot.recipe) != "house" or ballot.learning_rate <= 0:
        return None
    pocket, kind = ballot.base == "pocket", ballot.subject_type
    own_steps = steps_for("house", kind, ballot.pictures, pocket=pocket, base=ballot.base)
    own_rate = rates_for("house", kind, ballot.pictures, pocket=pocket, base=ballot.base).learning_rate
    rate = ballot.learning_rate / own_rate
    doses = [math.log(c.step * rate / own_steps) for c in ballot.checkpoints]
    after = [] if ballot.next_step is None else [math.log(ballot.next_step * rate / own_steps)]
    edges = [-math.inf, *((a + b) / 2 for a, b in pairwise([*doses, *after])), *([] if after else [math.inf])]
    if len(doses) < 2 or abs(doses[-1]) > math.log(NEAR):
        return None
    place = ballot.checkpoints.index(best)
    return Chosen(above=edges[place], below=edges[place + 1], weight=lead(ballot))


def fitted(ballots: Iterable[Chosen]) -> Dose:
    """The factors with the highest posterior, of which steps take what they may and the learning rate takes the rest.

    Steps come first: with them alone a plan ends nearer to what was liked on a way that is known, and a shorter one gives back
    time. Rounded, so that few ballots change nothing.
    """
    more = math.exp(_highest(list(ballots)) - math.log(AIM))
    steps = min(max(more, 1.0 / MOST), MOST)
    rate = min(max(more / steps, 1.0 / MOST), MOST)
    return Dose(steps=_in_strides(steps), learning_rate=_in_strides(rate))


def _in_strides(factor: float) -> float:
    return round(round(factor / STRIDE) * STRIDE, 2)


def _highest(ballots: Sequence[Chosen]) -> float:
    """The posterior's top, by bisection of its slope, which falls everywhere: the model is that of ordered choices (McCullagh
    1980, J. R. Stat. Soc. B 42, 109-142) with known edges, whose likelihood is log-concave.
    """
    start = math.log(AIM)
    low, high = start - math.log(MOST**2), start + math.log(MOST**2)
    for _ in range(60):
        middle = (low + high) / 2
        if _slope(middle, start, ballots) > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _slope(at: float, start: float, ballots: Sequence[Chosen]) -> float:
    """Of ln(F(below) - F(above)) for the logistic F this is (F(above) + F(below) - 1) / SPREAD: never steeper than 1 / SPREAD."""
    pulls = (b.weight * (_share(b.above, at) + _share(b.below, at) - 1.0) / SPREAD for b in ballots)
    return math.fsum(pulls) - (at - start) / PRIOR_SD**2


def _share(edge: float, at: float) -> float:
    if math.isinf(edge):
        return 0.0 if edge < 0 else 1.0
    return 1.0 / (1.0 + math.exp(-(edge - at) / SPREAD))
