"""Tastes are learned from ballots: slowly at first, rightly in the end, and never out of hand."""

from __future__ import annotations

import random

import pytest

from storage.domain.ballots import ClosedBallot, comparisons
from storage.domain.orders import SubjectType
from storage.domain.preferences import HALF_WAY, REACH, SHARPNESS, Preference, fitted
from storage.domain.taste import Features, Taste, slopes, usual_taste, worth
from tests.storage.voters import ballot, training, voted

USUAL = usual_taste(SubjectType.OBJECT)


def learned(ballots: list[ClosedBallot], usual: Taste = USUAL) -> Preference:
    said = [pairs for each in ballots if (pairs := [*comparisons(each)])]
    return fitted(usual, [pair for pairs in said for pair in pairs], len(said))


def people(taste: Taste, count: int, seed: int = 1, **how: float) -> list[ClosedBallot]:
    chance = random.Random(seed)
    return [voted(chance, taste, **how) for _ in range(count)]  # type: ignore[arg-type]


def test_slopes_are_those_of_the_worth() -> None:
    taste, step = Taste(likeness=0.6), 1e-6
    for shown in training(random.Random(4)):
        moved = (
            Taste(likeness=0.6 + step),
            Taste(likeness=0.6, variety=0.25 + step),
            Taste(likeness=0.6, leakage=0.5 + step),
        )
        numeric = [(worth(shown, other) - worth(shown, taste)) / step for other in moved]
        assert slopes(shown, taste) == pytest.approx(numeric, abs=1e-4)


def test_without_ballots_everything_is_as_it_was() -> None:
    assert learned([]) == Preference(taste=USUAL, sharpness=SHARPNESS)


@pytest.mark.parametrize(
    "true", [Taste(likeness=0.3), Taste(likeness=0.85), Taste(likeness=0.6, variety=0.1, leakage=0.9)]
)
def test_a_known_taste_is_found_again(true: Taste) -> None:
    found = learned(people(true, 400)).taste
    assert found.likeness == pytest.approx(true.likeness, abs=0.1)
    assert abs(found.likeness - true.likeness) <= 0.4 * abs(USUAL.likeness - true.likeness) + 0.03
    assert found.variety == pytest.approx(true.variety, abs=0.12)
    assert found.leakage == pytest.approx(true.leakage, abs=0.2)


def test_the_more_ballots_agree_the_nearer_it_comes() -> None:
    every = people(Taste(likeness=0.3), 200)
    near = [abs(learned(every[:count]).taste.likeness - 0.3) for count in (10, 50, 200)]
    assert near[0] > near[1] > near[2]


@pytest.mark.parametrize("kind", SubjectType)
@pytest.mark.parametrize("copying", [True, False])
def test_ten_ballots_move_the_weight_of_likeness_by_at_most_a_twentieth(kind: SubjectType, *, copying: bool) -> None:
    """A thousand people each time, all against what is measured, where the two checkpoints could not differ more."""
    copy = Features(likeness=0.9, adherence=0.1, variety=1.0, leakage=0.0)
    base = Features(likeness=0.1, adherence=0.9, variety=1.0, leakage=0.0)
    made = [ballot([1000, 0], [copy, base] if copying else [base, copy])] * 10
    usual = usual_taste(kind)
    moved = learned(made, usual).taste.likeness - usual.likeness
    assert 0.03 <= abs(moved) <= 0.05 + 1e-9
    assert (moved > 0) is copying


@pytest.mark.parametrize("count", [3, 30, 300])
def test_no_ballots_whatever_move_a_number_beyond_their_reach(count: int) -> None:
    chance = random.Random(count)
    wild = [
        ballot([9, 0, 0], [Features(likeness=a, adherence=b, variety=c, leakage=d) for a, b, c, d in rows])
        for rows in ([[chance.random() for _ in range(4)] for _ in range(3)] for _ in range(count))
    ]
    found = learned(wild).taste
    for name, reach in zip(("likeness", "variety", "leakage"), REACH, strict=False):
        moved = abs(getattr(found, name) - getattr(USUAL, name))
        assert moved <= reach * count / (count + HALF_WAY) + 0.005, name


def test_votes_that_have_nothing_to_do_with_what_is_measured_teach_little() -> None:
    found = learned(people(USUAL, 300, sharpness=0.0))
    assert found.taste.likeness == pytest.approx(USUAL.likeness, abs=0.07)
    assert found.sharpness < SHARPNESS


def test_a_taste_that_no_weights_can_express_still_predicts_as_well_as_before() -> None:
    """People who want likeness near one half, and no more: neither linear nor monotone in anything that is fitted."""
    chance = random.Random(7)

    def odd() -> ClosedBallot:
        shown = training(chance)
        liked = min(range(5), key=lambda n: abs(shown[n].likeness - 0.5) + chance.gauss(0, 0.05))
        return ballot([4 * (n == liked) for n in range(5)], shown)

    found, unseen = learned([odd() for _ in range(150)]).taste, [odd() for _ in range(150)]

    def right(taste: Taste) -> int:
        pairs = [pair for each in unseen for pair in comparisons(each)]
        return sum(worth(pair.better, taste) > worth(pair.worse, taste) for pair in pairs)

    assert right(found) >= right(USUAL)


def test_the_same_ballots_in_another_order_teach_the_same() -> None:
    every = people(Taste(likeness=0.4), 60)
    assert learned(every).taste == learned(every[::-1]).taste
