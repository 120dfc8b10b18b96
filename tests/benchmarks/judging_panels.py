"""What smaller panels and other tastes cost, from the full panels' pictures: regret against pictures drawn. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from storage.domain.choice import Candidate, choose_checkpoint
from tests.benchmarks.judging_measured import BUDGETS, name_of
from tests.benchmarks.judging_regrets import (
    Figure,
    Rule,
    Unit,
    by_subject,
    last,
    lowest_validation,
    mean,
    over_subjects,
    regret,
)

NEAR = 0.01
"""The knee: the fewest pictures whose mean regret is within this of the full panel's."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One size of a panel."""

    pictures: int
    """A checkpoint."""
    what: str
    regret: Figure


def chosen(unit: Unit, utilities: Mapping[int, tuple[float, ...]]) -> int:
    """Without votes, from other utilities; held-out losses veto as they did, and say no more."""
    return choose_checkpoint(
        [
            Candidate(step=s, votes=0, measurement=replace(m, utilities=utilities[s], utility=mean(utilities[s])))
            for s, m in unit.measured.items()
        ]
    ).step


def by_taste(name: str) -> Rule:
    """What another taste would choose."""
    return lambda record, view: chosen(Unit(record=record, view=view), record.tastes[name])


def tastes(these: Sequence[Unit]) -> list[tuple[str, float]]:
    """Every taste that was tried with its mean regret, the best first."""
    seen = [unit for unit in these if unit.record.tastes]
    names = list(seen[0].record.tastes) if seen else []
    costs = {n: mean([regret(unit, by_taste(n)(unit.record, unit.view)) for unit in seen]) for n in names}
    return sorted(costs.items(), key=lambda item: item[1])


def table(these: Sequence[Unit]) -> list[Row]:
    """By pictures; without any, the lowest held-out loss and the last checkpoint are left."""
    drawn = [unit for unit in these if unit.record.budgets]
    rows = [
        Row(
            pictures=0, what="last checkpoint", regret=_mean(drawn, [regret(u, last(u.record, u.view)) for u in drawn])
        ),
        Row(
            pictures=0,
            what="lowest validation loss",
            regret=_mean(drawn, [regret(u, lowest_validation(u.record, u.view)) for u in drawn]),
        ),
    ]
    return [*rows, *sorted(_rows(drawn), key=lambda row: row.pictures)]


def knee(rows: Sequence[Row]) -> Row:
    """The smallest panel that is nearly as good as the largest."""
    panels = [row for row in rows if row.pictures]
    return next(row for row in panels if row.regret.value <= panels[-1].regret.value + NEAR)


def _rows(drawn: Sequence[Unit]) -> Iterator[Row]:
    for budget in BUDGETS:
        what = f"{budget.rows} prompts x {budget.seeds}, {budget.others} without the trigger x 2"
        costs = [regret(unit, chosen(unit, unit.record.budgets[name_of(budget)])) for unit in drawn]
        yield Row(pictures=budget.pictures, what=what, regret=_mean(drawn, costs))


def _mean(these: Sequence[Unit], values: Sequence[float]) -> Figure:
    found = {id(unit): value for unit, value in zip(these, values, strict=True)}
    return over_subjects(by_subject(these, lambda unit: found[id(unit)]), mean)
