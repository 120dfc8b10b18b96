"""What a way of choosing costs: the oracle's score of the best checkpoint minus that of the chosen one.

Every unit is a view of a subject (an order of that length); intervals are over subjects, whose views belong together. Pure.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from storage.domain.plan import Plan
from tests.benchmarks.judging_measured import Measured, unvoted
from tests.benchmarks.judging_records import Record


class OfSubject(Protocol):
    """Something that one subject's record tells."""

    @property
    def record(self) -> Record: ...


T = TypeVar("T")
S = TypeVar("S", bound=OfSubject)
Rule = Callable[[Record, str], int]
"""Of a record and the name of a view, the step that is chosen."""
HALVES = ((0, 2), (1, 3))
"""Seeds of the examination, parted in two: scored with the one, and again with the other."""
RESAMPLES = 2000
PATIENCE, MIN_DELTA, MOST_GAP = 0.2, 0.01, 0.1
"""The rules that the project began with: a fifth of the plan, of the loss over the base's, held-out over training."""
STEPS_A_PICTURE = (5, 8, 10, 12, 16, 20, 24, 32, 40, 60, 80, 120, 160)
WORTH_ASKING = 2.0
"""A rival's regret counts in the ratio where it is more than so many times the oracle's noise."""


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One order of one subject."""

    record: Record
    view: str

    @property
    def measured(self) -> Measured:
        """Its checkpoints."""
        return self.record.views[self.view]


def units(records: Iterable[Record]) -> list[Unit]:
    """Every view of every subject."""
    return [Unit(record=record, view=view) for record in records for view in record.views]


def regret(unit: Unit, step: int) -> float:
    """At least 0. The best is the best of noisy scores, so even the right choice has a little of it."""
    scores = unit.record.scores(unit.view)
    return max(scores.values()) - scores[step]


def regret_by_step(unit: Unit) -> dict[int, float]:
    """Of every checkpoint."""
    scores = unit.record.scores(unit.view)
    return {step: max(scores.values()) - score for step, score in scores.items()}


def crossed(unit: Unit, step: int) -> float:
    """The same without that: the best by half of the seeds, held against the chosen one on the other half, both ways."""
    found = []
    for one, other in (HALVES, HALVES[::-1]):
        by_one, by_other = (unit.record.scores(unit.view, seeds) for seeds in (one, other))
        found.append(by_other[max(by_one, key=lambda s: by_one[s])] - by_other[step])
    return math.fsum(found) / len(found)


def noise(unit: Unit) -> float:
    """Standard deviation of a score over seeds, from halves: a whole score has half of the halves' difference."""
    one, other = (unit.record.scores(unit.view, seeds) for seeds in HALVES)
    return math.sqrt(math.fsum((one[s] - other[s]) ** 2 for s in one) / len(one)) / 2


def ours(record: Record, view: str) -> int:
    """As members get it without votes."""
    return unvoted(record.views[view])


def highest(number: str) -> Rule:
    """A variant of ours: the checkpoint with the highest number of that name, whatever its error; else the last."""

    def chosen(record: Record, view: str) -> int:
        known = {s: value for s, m in record.views[view].items() if (value := getattr(m, number)) is not None}
        return max(known, key=lambda s: (known[s], -s)) if known else last(record, view)

    return chosen


def last(record: Record, view: str) -> int:
    """What most trainers hand over."""
    return max(record.views[view])


def lowest_training(record: Record, view: str) -> int:
    """Of the log's smoothed loss."""
    return min(record.views[view], key=lambda step: (_logged(record, step), step))


def lowest_validation(record: Record, view: str) -> int:
    """The last where nothing was held out."""
    known = {s: m.validation_ratio for s, m in record.views[view].items() if m.validation_ratio is not None}
    return min(known, key=lambda s: (known[s], s)) if known else last(record, view)


def patient(record: Record, view: str) -> int:
    """The best held-out loss until a fifth of the plan has brought no hundredth; training loss where nothing was held out."""
    losses = _losses(record, view)
    best, best_at, chosen = math.inf, 0, last(record, view)
    for step, loss in losses.items():
        if loss < best - MIN_DELTA:
            best, best_at, chosen = loss, step, step
        elif step - best_at >= PATIENCE * max(losses):
            break
    return chosen


def gapped(record: Record, view: str) -> int:
    """The last checkpoint before held-out loss is a tenth above the training loss; the last of all where it never is."""
    before = None
    for step, m in record.views[view].items():
        known = m.validation_ratio is not None and m.training_ratio is not None
        if known and (m.validation_ratio or 0.0) - (m.training_ratio or 0.0) > MOST_GAP:
            return step if before is None else before
        before = step
    return last(record, view)


def paced(steps_a_picture: int) -> Rule:
    """The checkpoint nearest to a fixed number of steps a picture, by ratio."""

    def chosen(record: Record, view: str) -> int:
        wanted = steps_a_picture * record.pictures
        return min(record.views[view], key=lambda step: abs(math.log(step / wanted)))

    return chosen


def best_pace(known: Sequence[Unit]) -> int:
    """The number of steps a picture that costs least on these."""
    return min(STEPS_A_PICTURE, key=lambda pace: mean([regret(u, paced(pace)(u.record, u.view)) for u in known]))


def rivals(development: Sequence[Unit]) -> dict[str, Rule]:
    """All ways of choosing that ours is held against; what has a number to fit gets it from other subjects."""
    pace = best_pace(development)
    return {
        "last checkpoint": last,
        "lowest training loss": lowest_training,
        "lowest validation loss": lowest_validation,
        "patience of 20 %, min delta 0.01": patient,
        "gap over 0.1": gapped,
        f"{pace} steps a picture (fitted)": paced(pace),
    }


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A number with its 95 % interval over subjects."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        if not math.isfinite(self.value):
            return "no number"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def over_subjects(found: Mapping[str, Sequence[T]], figure: Callable[[Sequence[T]], float]) -> Figure:
    """A figure of all values, and what it becomes as subjects are drawn again; where it is none it is left out."""
    dice, names = random.Random(0), sorted(found)
    whole = figure([value for name in names for value in found[name]])
    draws = [
        figure([value for name in dice.choices(names, k=len(names)) for value in found[name]]) for _ in range(RESAMPLES)
    ]
    known = sorted(draw for draw in draws if math.isfinite(draw))
    if not known:
        return Figure(value=whole, low=math.nan, high=math.nan)
    return Figure(value=whole, low=known[int(0.025 * len(known))], high=known[int(0.975 * (len(known) - 1))])


def by_subject(these: Sequence[S], value: Callable[[S], T]) -> dict[str, list[T]]:
    """A value of each, by the subject's name."""
    found: dict[str, list[T]] = {}
    for each in these:
        found.setdefault(each.record.name, []).append(value(each))
    return found


def mean(values: Sequence[float]) -> float:
    """No number where there is none."""
    return math.fsum(values) / len(values) if values else math.nan


def ratio(pairs: Sequence[tuple[float, float]]) -> float:
    """Of the means of two."""
    below = math.fsum(theirs for _, theirs in pairs)
    return math.fsum(own for own, _ in pairs) / below if below > 0 else math.nan


def against(these: Sequence[Unit], rule: Rule, rival: Rule, *, all_units: bool = False) -> Figure:
    """Our regret over a rival's, where the rival's is more than twice the oracle's noise."""

    def pair(unit: Unit) -> tuple[float, float]:
        own, theirs = (regret(unit, chosen(unit.record, unit.view)) for chosen in (rule, rival))
        return (own, theirs) if all_units or theirs > WORTH_ASKING * noise(unit) else (0.0, 0.0)

    return over_subjects(by_subject(these, pair), ratio)


def _losses(record: Record, view: str) -> dict[int, float]:
    measured = record.views[view]
    if all(m.validation_ratio is not None for m in measured.values()):
        return {step: m.validation_ratio or 0.0 for step, m in measured.items()}
    return {step: _logged(record, step) for step in measured}


def _logged(record: Record, step: int) -> float:
    """The newest entry of the log."""
    known = [loss for at, loss in record.losses if at <= step]
    return known[-1] if known else math.inf


def plan_of(record: Record) -> Plan:
    """The recipe's plan."""
    return Plan.from_json(record.plan)
