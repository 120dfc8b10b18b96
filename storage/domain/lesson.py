"""What votes taught about one kind of order, put into its plan."""

from __future__ import annotations

from dataclasses import dataclass, replace

from storage.domain.plan import Plan, shortened
from storage.domain.taste import Taste


@dataclass(frozen=True, kw_only=True)
class Dose:
    """What is changed of a recipe, as factors of its own values."""

    steps: float = 1.0
    learning_rate: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """For one base and subject type."""

    number: int
    """Of the revision that it comes from; the plan's recipe names it: `house-1+17`."""
    dose: Dose
    taste: Taste | None
    """None is the subject type's own."""


def taught(plan: Plan, lesson: Lesson) -> Plan:
    """The house recipe's plan with what was learned: checkpoints at the same shares of more or fewer steps."""
    steps = max(1, round(plan.steps * lesson.dose.steps))
    name, slash, rest = plan.recipe.partition("/")
    plan = replace(
        shortened(plan, steps),
        warmup_steps=max(1, steps // 20),
        learning_rate=plan.learning_rate * lesson.dose.learning_rate,
        recipe=f"{name}+{lesson.number}{slash}{rest}",
    )
    if lesson.taste is None:
        return plan
    return replace(
        plan,
        likeness_weight=lesson.taste.likeness,
        variety_power=lesson.taste.variety,
        leakage_weight=lesson.taste.leakage,
    )
