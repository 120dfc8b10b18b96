"""Made-up members before real trainings: are votes and measurements together never worse than either alone?

What members like is neither the oracle nor linear in our features: they look at the grids, not at the examination; see whether
the subject is there (up to a point), whether places are right (first of all, for some), whether pictures are sharp; and each has
a taste and whims of their own. Earlier grids are seen by more people; some vote for anything, some for the last, whatever it shows.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from storage.domain.choice import Candidate, choose_checkpoint
from storage.domain.measurement import Measurement
from tests.benchmarks.judging_exam import Reading
from tests.benchmarks.judging_measured import unvoted
from tests.benchmarks.judging_regrets import Figure, Unit, by_subject, mean, over_subjects, regret_by_step

CROWDS = (1, 2, 3, 5, 8, 15)
PSEUDO = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0)
"""Votes that measurements count as; 0 only breaks ties."""
VOTES, MEASUREMENTS = "votes alone", "measurements alone"
BALLOTS = 20
"""A unit and a crowd's size."""
SEEN_FIRST, SEEN_NEXT = 0.95, 0.85
"""Who looks at the first grid, and of those who looked at one, at the next. The rest look at all of them in the end."""
CARELESS, STRATEGIC = 0.15, 0.1
ENOUGH = 0.75
"""Of likeness, for those to whom enough is enough."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """One who votes."""

    likeness: float
    places_first: bool
    enough: bool
    sharpness: float
    whim: float
    """Standard deviation of what nobody else sees."""

    def likes(self, grid: Reading, measured: Measurement, chance: random.Random) -> float:
        """How much, on a scale of its own."""
        there = math.fsum(grid.likeness) / len(grid.likeness)
        if self.enough:
            there = min(there, ENOUGH)
        right = math.fsum(grid.obeyed) / len(grid.obeyed)
        places = (0.8 if right >= 0.75 else 0.0) if self.places_first else 0.3 * right
        kept = math.fsum(grid.others) / len(grid.others)
        sharp = self.sharpness * min(measured.sharpness or 1.0, 1.2)
        return self.likeness * math.sqrt(there) + places + 0.15 * kept + sharp + chance.gauss(0, self.whim)


def member(chance: random.Random) -> Member:
    """Anyone."""
    return Member(
        likeness=chance.uniform(0.5, 1.5),
        places_first=chance.random() < 0.3,
        enough=chance.random() < 0.4,
        sharpness=chance.uniform(0.0, 0.6),
        whim=chance.uniform(0.05, 0.3),
    )


def votes(unit: Unit, crowd: int, chance: random.Random) -> dict[int, int]:
    """One ballot: everybody who votes is for one checkpoint."""
    steps = list(unit.measured)
    cast = dict.fromkeys(steps, 0)
    for _ in range(crowd):
        cast[_vote(unit, _seen(steps, chance), chance)] += 1
    return cast


def _vote(unit: Unit, seen: Sequence[int], chance: random.Random) -> int:
    dice, who = chance.random(), member(chance)
    if dice < CARELESS:
        return chance.choice(seen)
    if dice < CARELESS + STRATEGIC:
        return seen[-1]
    return max(seen, key=lambda step: who.likes(unit.record.grids[step], unit.measured[step], chance))


def _seen(steps: Sequence[int], chance: random.Random) -> Sequence[int]:
    if chance.random() > SEEN_FIRST:
        return steps
    count = 1
    while count < len(steps) and chance.random() < SEEN_NEXT:
        count += 1
    return steps[:count]


def together(m: float) -> str:
    """The name of votes with measurements."""
    return f"m = {m:g}"


def chosen(unit: Unit, cast: dict[int, int], way: str) -> int:
    """As the product chooses; without what was measured, or without votes, where one is alone."""
    if way == MEASUREMENTS:
        return unvoted(unit.measured)
    pseudo = {together(m): m for m in PSEUDO}.get(way, 0.0)
    known = [
        Candidate(step=step, votes=cast[step], measurement=None if way == VOTES else measurement)
        for step, measurement in unit.measured.items()
    ]
    return choose_checkpoint(known, pseudo).step


def table(these: Sequence[Unit]) -> dict[int, dict[str, Figure]]:
    """Mean regret by the crowd's size and by way of choosing; the same ballots for every way."""
    ways = (VOTES, MEASUREMENTS, *map(together, PSEUDO))
    found = {}
    for crowd in CROWDS:
        cast = {id(unit): _ballots(unit, crowd) for unit in these}
        found[crowd] = {way: over_subjects(by_subject(these, partial(_cost, cast, way)), mean) for way in ways}
    return found


def _ballots(unit: Unit, crowd: int) -> list[dict[int, int]]:
    name = f"{unit.record.name} {unit.view} {crowd}"
    return [votes(unit, crowd, random.Random(f"{name} {number}")) for number in range(BALLOTS)]


def _cost(cast: dict[int, list[dict[int, int]]], way: str, unit: Unit) -> float:
    """Mean over ballots."""
    regrets = regret_by_step(unit)
    return mean([regrets[chosen(unit, ballot, way)] for ballot in cast[id(unit)]])


def excess(costs: dict[str, Figure], m: float) -> float:
    """How much more regret than the better of votes alone and measurements alone; negative where less."""
    return costs[together(m)].value - min(costs[VOTES].value, costs[MEASUREMENTS].value)


def fitted(found: dict[int, dict[str, Figure]]) -> float:
    """The m whose largest excess over all crowds is least; of equals the smaller."""
    return min(PSEUDO, key=lambda m: (round(max(excess(costs, m) for costs in found.values()), 4), m))
