"""What smaller panels cost: regret against pictures drawn, from the full panels' pictures. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from storage.domain.choice import Candidate, choose_checkpoint
from tests.benchmarks.judging_measured import BUDGETS, Budget, name_of
from tests.benchmarks.judging_regrets import (
    Figure,
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


def chosen(unit: Unit, budget: Budget) -> int:
    """Without votes, from what a smaller panel shows; held-out losses speak as they do in the whole one."""
    utilities = unit.record.budgets[name_of(budget)]
    return choose_checkpoint(
        [
            Candidate(step=s, votes=0, measurement=replace(m, utilities=utilities[s], utility=mean(utilities[s])))
            for s, m in unit.measured.items()
        ]
    ).step


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
        yield Row(
            pictures=budget.pictures, what=what, regret=_mean(drawn, [regret(u, chosen(u, budget)) for u in drawn])
        )


def _mean(these: Sequence[Unit], values: Sequence[float]) -> Figure:
    found = {id(unit): value for unit, value in zip(these, values, strict=True)}
    return over_subjects(by_subject(these, lambda unit: found[id(unit)]), mean)
