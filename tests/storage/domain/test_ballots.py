"""What a closed ballot says: comparisons by votes alone, one piece of evidence each."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from storage.domain.ballots import comparisons, features_of, lead, voted, winner
from storage.domain.measurement import Flag
from storage.domain.taste import Taste
from tests.storage.domain.test_choice import measured
from tests.storage.voters import ballot, training
from tests.storage.voters import voted as people_voted

SHOWN = training(random.Random(1))


@pytest.mark.parametrize(("a", "b", "weight"), [(1, 0, 1 / 3), (3, 1, 1 / 3), (10, 0, 5 / 6), (50, 49, 1 / 101)])
def test_a_pair_weighs_what_its_lead_says(a: int, b: int, weight: float) -> None:
    (pair,) = comparisons(ballot([a, b], SHOWN[:2]))
    assert (pair.better, pair.worse) == (SHOWN[0], SHOWN[1])
    assert pair.weight == pytest.approx(weight)
    assert lead(ballot([a, b])) == pytest.approx(weight)


@pytest.mark.parametrize("votes", [[0, 0, 0], [2, 2, 0], [1, 1, 1]])
def test_ties_and_silence_give_no_comparison(votes: list[int]) -> None:
    assert winner(ballot(votes, SHOWN[:3])) is None
    assert not [*comparisons(ballot(votes, SHOWN[:3]))]
    assert lead(ballot(votes)) == 0


def test_a_ballot_is_less_than_one_piece_of_evidence_however_many_vote() -> None:
    pairs = [*comparisons(ballot([0, 1000, 0, 0, 0], SHOWN))]
    assert len(pairs) == 4
    assert 0.95 < sum(pair.weight for pair in pairs) < 1


def test_what_was_not_measured_is_in_no_comparison() -> None:
    assert not [*comparisons(ballot([3, 0, 0]))]
    assert features_of(measured(0.5)) is None


def test_what_another_eye_measured_teaches_nothing_about_the_winner() -> None:
    mixed = ballot([3, 1, 0], SHOWN[:3])
    first, *others = mixed.checkpoints
    mixed = replace(mixed, checkpoints=(replace(first, eye="clip"), *others))
    assert not [*comparisons(mixed)]
    alike = replace(mixed, checkpoints=(first, replace(others[0], eye="clip"), others[1]))
    assert [pair.worse for pair in comparisons(alike)] == [SHOWN[2]]
    by_face = voted(40, 9, replace(measured(0.9), likeness_by="face"))
    assert by_face is not None
    assert by_face.eye == "face"


def test_a_broken_checkpoint_is_in_no_ballot() -> None:
    assert voted(40, 9, measured(0.9, flags=(Flag.BLACK,))) is None
    assert voted(40, 9, None) is not None


def test_everybody_s_vote_is_counted_once() -> None:
    made = people_voted(random.Random(3), Taste(likeness=0.5), voters=7)
    assert sum(each.votes for each in made.checkpoints) == 7
