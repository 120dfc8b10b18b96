"""Which checkpoint: votes decide, measurements break ties and speak in silence, broken ones never win."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.domain.choice import (
    PSEUDO_VOTES,
    Because,
    Candidate,
    NothingToChoose,
    choose_checkpoint,
    measured_best,
    shares,
)
from storage.domain.measurement import Flag, Measurement
from storage.domain.orders import SubjectType
from storage.domain.taste import utility


def measured(*utilities: float, flags: tuple[Flag, ...] = ()) -> Measurement:
    return Measurement(
        validation_ratio=None,
        training_ratio=None,
        likeness=None,
        adherence=None,
        variety=None,
        leakage=None,
        memorisation=None,
        utility=sum(utilities) / len(utilities) if utilities else None,
        utilities=utilities,
        flags=flags,
        seconds=1.0,
    )


def candidate(step: int, votes: int = 0, *utilities: float, flags: tuple[Flag, ...] = ()) -> Candidate:
    return Candidate(step=step, votes=votes, measurement=measured(*utilities, flags=flags))


def test_most_votes_win_against_the_measured_best() -> None:
    choice = choose_checkpoint([candidate(50, 3, 0.2, 0.2), candidate(100, 2, 0.9, 0.9)])
    assert (choice.step, choice.because) == (50, Because.VOTES)
    assert (choice.measured_best, choice.votes, choice.runner_up_votes) == (100, 3, 2)


def test_a_tie_goes_to_the_better_measured_of_the_tied_only() -> None:
    tied = [candidate(50, 2, 0.4, 0.5), candidate(75, 2, 0.6, 0.7), candidate(100, 0, 0.9, 0.9)]
    choice = choose_checkpoint(tied)
    assert (choice.step, choice.because, choice.measured_best) == (75, Because.TIE_BROKEN_BY_MEASUREMENT, 100)


def test_where_nobody_voted_measurement_decides() -> None:
    choice = choose_checkpoint([candidate(50, 0, 0.2, 0.3), candidate(100, 0, 0.8, 0.9)])
    assert (choice.step, choice.because, choice.votes) == (100, Because.MEASUREMENT, 0)


def test_where_nothing_was_measured_and_nobody_voted_the_last_is_taken() -> None:
    bare = [Candidate(step=s, votes=0, measurement=None) for s in (50, 100)]
    choice = choose_checkpoint(bare)
    assert (choice.step, choice.because, choice.measured_best) == (100, Because.LAST, None)


SURE = ((0.2, 0.21, 0.2, 0.22), (0.8, 0.82, 0.8, 0.81))
"""Utilities of two checkpoints that measurement does not doubt: the second is better."""
UNSURE = ((0.60, 0.80, 0.70, 0.60), (0.75, 0.70, 0.75, 0.70))
"""Here the difference is smaller than its own error."""


def between(votes: tuple[int, int], measured: tuple[tuple[float, ...], ...], m: float) -> tuple[int, Because]:
    pair = [candidate(50, votes[0], *measured[0]), candidate(100, votes[1], *measured[1])]
    choice = choose_checkpoint(pair, m)
    return choice.step, choice.because


@pytest.mark.parametrize("m", [0.0, 0.5, 1.0, 1.5, 3.0])
def test_a_lead_of_m_votes_is_never_overturned_whatever_was_measured(m: float) -> None:
    for behind in range(4):
        ahead = behind + max(1, math.ceil(m))
        assert between((ahead, behind), SURE, m) == (50, Because.VOTES)


def test_one_vote_is_enough_as_measurement_counts_now() -> None:
    assert PSEUDO_VOTES <= 1.0
    assert between((1, 0), SURE, PSEUDO_VOTES) == (50, Because.VOTES)
    assert between((3, 1), SURE, PSEUDO_VOTES) == (50, Because.VOTES)


def test_where_measurement_counts_more_a_lone_vote_beats_it_only_where_it_is_unsure() -> None:
    assert between((1, 0), SURE, 2.5) == (100, Because.VOTES_AND_MEASUREMENT)
    assert between((0, 1), UNSURE, 2.5) == (100, Because.VOTES)
    assert between((1, 0), UNSURE, 2.5) == (50, Because.VOTES)


def test_the_choice_says_as_how_much_measurement_counted() -> None:
    choice = choose_checkpoint([candidate(50, 1, *SURE[0]), candidate(100, 0, *SURE[1])], 2.5)
    assert choice.pseudo_votes == 2.5
    assert 2.5 * choice.share > 1
    assert (choice.votes, choice.runner_up_votes, choice.measured_best) == (0, 1, 100)
    bare = choose_checkpoint([Candidate(step=50, votes=2, measurement=None)])
    assert (bare.pseudo_votes, bare.share) == (0.0, 0.0)


def test_shares_are_even_within_an_error_and_fall_with_the_certainty_of_a_difference() -> None:
    even = shares([candidate(50, 0, *UNSURE[0]), candidate(100, 0, *UNSURE[1])])
    assert even == {50: 0.5, 100: 0.5}
    sure = shares([candidate(50, 0, *SURE[0]), candidate(100, 0, *SURE[1])])
    assert sure[50] < 0.001
    few = shares([candidate(50, 0, *SURE[0][:2]), candidate(100, 0, *SURE[1][:2])])
    assert few[50] > sure[50], "two prompts say less than four"
    assert shares([candidate(50), Candidate(step=100, votes=3, measurement=None)]) == {}


def test_shares_follow_student_s_t() -> None:
    """Differences 1, 2, 3: mean 2, error 1 / sqrt(3), so t squared is 12 with 2 degrees of freedom."""
    found = shares([candidate(50, 0, 0.1, 0.1, 0.1), candidate(100, 0, 0.2, 0.3, 0.4)])
    assert found[50] / found[100] == pytest.approx(((1 + 12 / 2) / (1 + 1 / 2)) ** -1.5)
    assert sum(found.values()) == pytest.approx(1.0)


@pytest.mark.parametrize("flag", [Flag.NAN, Flag.BLACK, Flag.COLLAPSED])
def test_a_broken_checkpoint_cannot_win_whatever_its_votes(flag: Flag) -> None:
    choice = choose_checkpoint([candidate(50, 9, 0.9, flags=(flag,)), candidate(100, 1, 0.1)])
    assert (choice.step, choice.because) == (100, Because.VOTES)
    with pytest.raises(NothingToChoose):
        choose_checkpoint([candidate(50, 9, 0.9, flags=(flag,))])


def test_nothing_cannot_be_chosen_from() -> None:
    with pytest.raises(NothingToChoose):
        choose_checkpoint([])


def test_a_vetoed_checkpoint_stands_back_in_measurement_but_not_against_votes() -> None:
    vetoed = candidate(100, 0, 0.9, 0.9, flags=(Flag.VALIDATION_VETO,))
    fine = candidate(50, 0, 0.5, 0.5)
    assert choose_checkpoint([fine, vetoed]).step == 50
    assert choose_checkpoint([fine, replace(vetoed, votes=1)]).step == 100
    assert choose_checkpoint([vetoed]).step == 100, "unless all are vetoed"


def test_the_earliest_within_one_standard_error_of_the_best_is_measured_best() -> None:
    noisy = [candidate(50, 0, 0.60, 0.80, 0.70), candidate(100, 0, 0.75, 0.70, 0.75)]
    assert measured_best(noisy) is noisy[0], "the difference is smaller than its own error"
    clear = [candidate(50, 0, 0.60, 0.61, 0.60), candidate(100, 0, 0.75, 0.76, 0.75)]
    assert measured_best(clear) is clear[1]


def by(eye: str, one: Candidate) -> Candidate:
    assert one.measurement is not None
    return replace(one, measurement=replace(one.measurement, likeness_by=eye))


def test_checkpoints_that_another_eye_measured_are_not_compared_with_the_newest_ones() -> None:
    before = by("clip", candidate(50, 0, 0.90, 0.91, 0.92))
    after = [by("dinov2", candidate(75, 0, 0.40, 0.41, 0.42)), by("dinov2", candidate(100, 0, 0.20, 0.21, 0.22))]
    assert measured_best([before, *after]) is after[0]
    assert shares([before, *after]).keys() == {75, 100}
    assert measured_best([replace(before, step=200), *after]) == replace(before, step=200), "the newest says which"
    old = by("", candidate(200, 0, 0.1))
    assert measured_best([by("", candidate(50, 0, 0.9)), old]) is not old, "rows of before there were several compare"


@given(
    st.lists(
        st.tuples(
            st.integers(0, 5),
            st.lists(st.floats(0, 1), min_size=3, max_size=3),
            st.sampled_from([(), (Flag.NAN,), (Flag.VALIDATION_VETO,)]),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_the_choice_is_never_broken_and_nobody_able_had_more_votes(
    rows: list[tuple[int, list[float], tuple[Flag, ...]]],
) -> None:
    candidates = [candidate(10 * (n + 1), votes, *us, flags=flags) for n, (votes, us, flags) in enumerate(rows)]
    able = [c for c in candidates if not c.broken]
    if not able:
        with pytest.raises(NothingToChoose):
            choose_checkpoint(candidates)
        return
    choice = choose_checkpoint(candidates)
    chosen = next(c for c in able if c.step == choice.step)
    assert chosen.votes == max(c.votes for c in able) == choice.votes
    assert choose_checkpoint(list(reversed(candidates))) == choice, "the order they come in does not matter"


@given(
    like=st.floats(0, 1.5),
    adhere=st.floats(0, 1.5),
    leak=st.floats(0, 2),
    spread=st.floats(0, 2),
    kind=st.sampled_from(SubjectType),
)
def test_utility_is_a_share_and_falls_with_leakage(
    like: float, adhere: float, leak: float, spread: float, kind: SubjectType
) -> None:
    value = utility(likeness=like, adherence=adhere, leakage=leak, variety=spread, subject_type=kind)
    assert 0 <= value <= 1
    clean = utility(likeness=like, adherence=adhere, leakage=0, variety=spread, subject_type=kind)
    assert value <= clean
    assert value >= 0.5 * clean - 1e-12


def test_utility_needs_both_likeness_and_adherence() -> None:
    def of(likeness: float, adherence: float) -> float:
        return utility(likeness=likeness, adherence=adherence, leakage=0, variety=1, subject_type=SubjectType.OBJECT)

    assert of(0.7, 0.7) == pytest.approx(0.7)
    assert of(1.0, 0.1) < of(0.5, 0.5)
    assert of(0.1, 1.0) < of(0.5, 0.5)
    assert of(1.0, 1.0) == pytest.approx(1.0)


def test_what_was_measured_on_fewer_prompts_or_in_no_numbers_is_not_compared() -> None:
    cut = candidate(50, 0, 0.99)
    spoilt = replace(candidate(60, 0, 0.9, 0.9), measurement=replace(measured(0.9, 0.9), utilities=(0.9, math.nan)))
    choice = choose_checkpoint([cut, spoilt, candidate(100, 0, 0.5, 0.5)])
    assert (choice.step, choice.because) == (100, Because.MEASUREMENT)


def test_measurements_come_back_from_json_as_they_were() -> None:
    one = measured(0.1, 0.2, flags=(Flag.LEAKS, Flag.NAN))
    assert Measurement.from_json(one.to_json()) == one
