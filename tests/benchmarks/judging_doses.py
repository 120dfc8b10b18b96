"""Do recipes that learn from chosen steps come nearer to the oracle's best steps? From the trainings four times as long. Pure.

Orders arrive in random order from development subjects, each with a ballot of made-up members on its long view; the distance to
the oracle's best steps is measured on subjects kept out. Tastes are `tests.benchmarks.learning`'s matter.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from storage.domain import dose
from storage.domain.ballots import ClosedBallot, voted
from storage.domain.lesson import Dose
from tests.benchmarks.judging_records import Record
from tests.benchmarks.judging_regrets import Unit, mean, plan_of
from tests.benchmarks.judging_voters import votes

ORDERS = (0, 10, 20, 50, 100, 200)
CROWD = 4
COMMUNITIES = 10


def best(record: Record) -> float:
    """The oracle's best steps over the recipe's: of all checkpoints of the longest view and of the short one."""
    steps = sorted({step for measured in record.views.values() for step in measured})
    return max(steps, key=record.score) / plan_of(record).steps


def distance(records: Sequence[Record], made: Dose) -> float:
    """Mean distance in doublings between where a recipe means its best checkpoint to be and where it is."""
    aimed = made.steps * made.learning_rate * dose.AIM
    return mean([abs(math.log2(aimed / best(record))) for record in records])


def ballot(record: Record, chance: random.Random) -> ClosedBallot:
    """Of made-up members, on any of the record's views."""
    unit, plan = Unit(record=record, view=chance.choice(sorted(record.views))), plan_of(record)
    cast = votes(unit, CROWD, chance)
    shown = [voted(step, cast[step], measured) for step, measured in unit.measured.items()]
    return ClosedBallot(
        base=plan.base,
        subject_type=plan.subject_type,
        recipe=plan.recipe,
        pictures=record.pictures,
        concepts=0,
        learning_rate=plan.learning_rate,
        checkpoints=tuple(each for each in shown if each is not None),
    )


def table(development: Sequence[Record], kept_out: Sequence[Record]) -> dict[int, float]:
    """Mean distance on subjects kept out, by orders learned from."""
    return {count: mean([_after(count, development, kept_out, n) for n in range(COMMUNITIES)]) for count in ORDERS}


def _after(count: int, development: Sequence[Record], kept_out: Sequence[Record], community: int) -> float:
    chance = random.Random(f"doses {community}")
    said = [
        found for _ in range(count) if (found := dose.chosen(ballot(chance.choice(development), chance))) is not None
    ]
    return distance(kept_out, dose.fitted(said))
