"""Recipes learn how much is enough: what was chosen, censored at both ends, and never far from where they began."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest

from storage.domain.ballots import ClosedBallot
from storage.domain.dose import AIM, MOST, Chosen, chosen, fitted
from storage.domain.lesson import Dose
from storage.domain.orders import SubjectType
from storage.domain.recipes import steps_for
from tests.storage.voters import STEPS, ballot

OWN = steps_for("house", SubjectType.OBJECT, 8, pocket=True)


def liking(share: float, *, steps: tuple[int, ...] = STEPS, rate: float = 5e-4) -> ClosedBallot:
    """A ballot on which everybody takes the checkpoint nearest to this share of the recipe's own dose."""
    doses = [abs(math.log(step * rate / 5e-4 / OWN / share)) for step in steps]
    made = ballot([3 * (dose == min(doses)) for dose in doses], learning_rate=rate)
    at = zip(steps, made.checkpoints, strict=True)
    return replace(made, checkpoints=tuple(replace(each, step=step) for step, each in at))


def after(ballots: list[ClosedBallot]) -> Dose:
    return fitted([found for each in ballots if (found := chosen(each)) is not None])


def test_the_recipe_s_checkpoints_are_the_ones_of_these_tests() -> None:
    assert STEPS[-1] == OWN == 160


def test_a_choice_lies_between_its_neighbours_and_is_open_at_the_ends() -> None:
    middle, first, last = (chosen(ballot([3 * (n == at) for n in range(5)])) for at in (2, 0, 4))
    assert middle is not None
    assert first is not None
    assert last is not None
    assert math.exp(middle.above) == pytest.approx(math.sqrt(64 * 96) / 160)
    assert math.exp(middle.below) == pytest.approx(math.sqrt(96 * 128) / 160)
    assert (first.above, last.below) == (-math.inf, math.inf)


def test_a_training_that_ended_early_does_not_ask_for_more() -> None:
    early = replace(liking(0.4, steps=(40, 64)), next_step=96)
    known = chosen(early)
    assert known is not None
    assert math.exp(known.below) == pytest.approx(math.sqrt(64 * 96) / 160)
    first = chosen(replace(liking(0.25, steps=(40, 64)), next_step=96))
    assert first is not None
    assert (first.above, math.exp(first.below)) == (-math.inf, pytest.approx(math.sqrt(40 * 64) / 160))
    assert after([early] * 30).steps < 1.0 <= after([replace(early, next_step=None)] * 30).steps


@pytest.mark.parametrize(
    "other",
    [
        {"recipe": "ai-toolkit-1/pocket/object"},
        {"recipe": "person-face-1/pocket/person"},
        {"concepts": 2},
        {"learning_rate": 5e-2},
        {"learning_rate": 0.0},
    ],
)
def test_other_recipes_and_plans_far_from_the_recipe_teach_it_nothing(other: dict[str, object]) -> None:
    assert chosen(ballot([0, 3, 0, 0, 0])) is not None
    assert chosen(ballot([0, 3, 0, 0, 0], **other)) is None


def test_a_plan_that_learning_made_teaches_on() -> None:
    assert chosen(ballot([0, 3, 0, 0, 0], recipe="house-1+17/pocket/object")) is not None


def test_orders_that_end_where_the_recipe_aims_change_nothing() -> None:
    chance = random.Random(2)
    found = after([liking(AIM * math.exp(chance.gauss(0, 0.3))) for _ in range(300)])
    assert found.steps == pytest.approx(1.0, abs=0.1)
    assert found.learning_rate == 1.0


@pytest.mark.parametrize(("share", "wanted"), [(0.5, 0.5 / AIM), (1.4, 1.4 / AIM)])
def test_many_orders_bring_the_recipe_near_to_what_was_right(share: float, wanted: float) -> None:
    """The later ones with plans as they had become, so that the ends of the first plans do not hide what lies beyond."""
    chance, dose = random.Random(3), Dose()
    every: list[ClosedBallot] = []
    for _ in range(5):
        steps = tuple(round(step * dose.steps) for step in STEPS)
        every += [liking(share * math.exp(chance.gauss(0, 0.3)), steps=steps) for _ in range(100)]
        dose = after(every)
    assert dose.steps == pytest.approx(wanted, rel=0.12)


@pytest.mark.parametrize(
    "end", [Chosen(above=-math.inf, below=-9.0, weight=1.0), Chosen(above=9.0, below=math.inf, weight=1.0)]
)
def test_ten_ballots_change_a_dose_by_at_most_15_percent(end: Chosen) -> None:
    found = fitted([end] * 10)
    assert found != Dose(), "they are heard"
    assert 0.85 <= found.steps <= 1.15
    assert found.learning_rate == 1.0


@pytest.mark.parametrize("share", [0.01, 100.0])
def test_however_many_ballots_neither_factor_goes_beyond_two(share: float) -> None:
    found = after([liking(share)] * 20_000)
    assert (found.steps, found.learning_rate) in [(1 / MOST, 1 / MOST), (MOST, found.learning_rate)]
    assert 1 / MOST <= found.learning_rate <= MOST


def test_steps_change_first_and_the_learning_rate_takes_what_they_cannot() -> None:
    few, many = after([liking(0.05)] * 40), after([liking(0.05)] * 500)
    assert (few.steps < 1, few.learning_rate) == (True, 1.0)
    assert (many.steps, many.learning_rate < 1) == (1 / MOST, True)


def test_half_the_rate_is_half_the_dose() -> None:
    slow, usual = chosen(liking(0.4, rate=2.5e-4)), chosen(liking(0.8))
    assert slow is not None
    assert usual is not None
    assert (slow.above, slow.below) == pytest.approx((usual.above - math.log(2), usual.below - math.log(2)))
