"""What stopping early saves and costs, judging counted: ours, and the best constant shortening fitted on other subjects. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from storage.domain.plan import Plan
from storage.domain.stopping import verdict
from tests.benchmarks.judging_measured import BUDGETS, Measured, unvoted
from tests.benchmarks.judging_regrets import Figure, Unit, by_subject, mean, over_subjects, plan_of
from tests.benchmarks.judging_trajectories import Spent

MOST_LOST = 0.01
"""Of the full training's oracle score, on average over orders."""
LARGEST_PANEL = max(budget.pictures for budget in BUDGETS)
Stop = Callable[[Unit], int]
"""The last checkpoint that is trained."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One order, stopped."""

    saved: float
    """Share of the order's seconds."""
    lost: float
    """Share of the full training's oracle score, negative where stopping did better."""


def planned(unit: Unit) -> Plan:
    """The plan that such an order would have had."""
    steps = tuple(unit.measured)
    return replace(plan_of(unit.record), steps=steps[-1], checkpoint_steps=steps)


def ours(unit: Unit) -> int:
    """The product's rule, asked after every checkpoint."""
    plan, known = planned(unit), list(unit.measured.items())
    for count in range(1, len(known)):
        if verdict(plan, known[:count]).stop:
            return known[count - 1][0]
    return known[-1][0]


def constant(place: int) -> Stop:
    """Always the same checkpoint, counted from 0."""
    return lambda unit: list(unit.measured)[min(place, len(unit.measured) - 1)]


def best_constant(known: Sequence[Unit]) -> int:
    """The earliest place in a plan that loses no more than a hundredth on these."""
    most = max((len(unit.measured) for unit in known), default=1)
    return next((p for p in range(most) if mean([outcome(u, constant(p)).lost for u in known]) <= MOST_LOST), most - 1)


def outcome(unit: Unit, stop: Stop) -> Outcome:
    """The checkpoint is chosen without votes among those that were trained, and among all."""
    last = stop(unit)
    seen: Measured = {step: m for step, m in unit.measured.items() if step <= last}
    full = unit.record.score(unvoted(unit.measured))
    got = unit.record.score(unvoted(seen))
    return Outcome(
        saved=1.0 - seconds(unit, last) / seconds(unit, max(unit.measured)), lost=(full - got) / max(full, 1e-6)
    )


def seconds(unit: Unit, last: int) -> float:
    """Of the order up to a checkpoint: training to there, the base's column, and the panels of its own checkpoints alone.

    A trajectory judges more checkpoints than each of its views has, and draws the largest panel at each; what a recipe's panel
    costs is that by its number of pictures.
    """
    spent, steps = unit.record.spent, sorted(unit.record.spent)
    part = sum(len(prompt.seeds) for prompt in plan_of(unit.record).prompts) / LARGEST_PANEL
    panel = part * spent[steps[-1]].drawing / (len(steps) + 1)  # the base's column is one more
    judged = sum(step <= last for step in unit.measured)
    return spent[last].training + panel + judged * (panel + spent[steps[-1]].measuring / len(steps))


def totals(spent: Spent) -> tuple[float, float]:
    """Share of drawing and of measuring in what was spent."""
    return spent.drawing / spent.whole, spent.measuring / spent.whole


def figures(these: Sequence[Unit], stop: Stop) -> tuple[Figure, Figure]:
    """Saved and lost, means over orders."""
    found = by_subject(these, lambda unit: outcome(unit, stop))
    return (
        over_subjects({name: [o.saved for o in those] for name, those in found.items()}, mean),
        over_subjects({name: [o.lost for o in those] for name, those in found.items()}, mean),
    )
