"""When a training may end early: only where what was measured says that no later checkpoint could win."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from storage.domain import stopping
from storage.domain.fit import Departure
from storage.domain.measurement import Flag, Measurement
from storage.domain.plan import Plan, Validation
from storage.domain.stopping import Because
from tests.benchmarks.stopping import chosen, last_of, made_up, saved
from tests.builders import tiny_plan

STEPS = (40, 64, 96, 128, 160)
PLAN = replace(tiny_plan(8), steps=160, checkpoint_steps=STEPS)


def measured(
    likeness: float | None = 0.5,
    *,
    leakage: float = 0.1,
    utilities: Sequence[float] = (0.5, 0.52, 0.48),
    flags: Sequence[Flag] = (),
) -> Measurement:
    return Measurement(
        validation_ratio=0.9,
        training_ratio=0.8,
        likeness=likeness,
        adherence=None if likeness is None else 1.0,
        variety=None if likeness is None else 1.0,
        leakage=None if likeness is None else leakage,
        memorisation=0.5,
        utility=sum(utilities) / len(utilities),
        utilities=tuple(utilities),
        flags=tuple(flags),
        seconds=1.0,
    )


def run(*checkpoints: Measurement) -> list[tuple[int, Measurement]]:
    return list(zip(STEPS, checkpoints, strict=False))


def because(*checkpoints: Measurement, plan: Plan = PLAN) -> Because | None:
    return stopping.verdict(plan, run(*checkpoints)).because


def rising(*likenesses: float, leakages: Sequence[float] = (0.0,) * 5) -> list[Measurement]:
    """Likeness and leakage as given, utilities that rise with them, so that curves alone decide."""
    pairs = zip(likenesses, leakages, strict=False)
    return [measured(like, leakage=leak, utilities=(like, like + 0.01, like + 0.05)) for like, leak in pairs]


def test_a_training_that_still_learns_goes_on() -> None:
    assert because(*rising(0.30, 0.45, 0.62)) is None
    said = stopping.verdict(PLAN, run(*rising(0.30, 0.45, 0.62)))
    assert said.ahead is not None
    assert said.ahead > 0.1, "as much again is expected"


def test_a_training_whose_likeness_has_settled_ends() -> None:
    verdict = stopping.verdict(PLAN, run(*rising(0.80, 0.88, 0.90)))
    assert (verdict.stop, verdict.because) == (True, Because.SETTLED)


def test_likeness_that_costs_as_much_leakage_is_no_gain() -> None:
    curve = rising(0.60, 0.75, 0.85, leakages=(0.1, 0.1, 0.1))
    assert because(*curve) is None
    spilling = rising(0.60, 0.75, 0.85, leakages=(0.3, 0.48, 0.72))
    assert because(*spilling) is Because.SETTLED


def test_after_two_checkpoints_the_rest_has_to_be_clearly_worse() -> None:
    settled = stopping.verdict(PLAN, run(*rising(0.9, 0.9)))
    assert (settled.stop, settled.ahead) == (False, pytest.approx(0.0, abs=0.01)), "a third one may show more"
    assert because(*rising(0.9, 0.9, 0.9)) is Because.SETTLED
    assert because(*rising(0.9, 0.9, leakages=(0.3, 0.5))) is Because.SETTLED


def test_worse_twice_in_a_row_ends_it_and_once_does_not() -> None:
    best = measured(0.3, utilities=(0.7, 0.72, 0.74))
    worse = measured(0.6, utilities=(0.5, 0.55, 0.52))
    rises = measured(1.0, utilities=(0.5, 0.50, 0.51))
    assert because(best, worse) is None
    assert because(best, worse, rises) is Because.WORSE
    better = measured(1.0, utilities=(0.9, 0.9, 0.9))
    assert because(best, worse, better) is None
    unsure = measured(1.0, utilities=(0.1, 0.99, 0.98))
    assert because(best, worse, unsure) is None, "within the error of the difference"


def test_held_out_pictures_end_it_with_a_second_witness() -> None:
    good = measured(0.3, utilities=(0.3, 0.32, 0.28))
    vetoed = measured(0.6, utilities=(0.3, 0.31, 0.29), flags=[Flag.VALIDATION_VETO])
    better = replace(vetoed, utilities=(0.5, 0.52, 0.51))
    assert because(good, vetoed) is Because.BY_HEART, "the pictures did not get better either"
    assert because(good, better) is None, "the pictures did"
    assert because(good, better, replace(better, utilities=(0.8, 0.82, 0.81))) is Because.BY_HEART


def test_where_nothing_was_drawn_only_held_out_pictures_speak() -> None:
    falls = [measured(None, utilities=(u, u, u + 0.01)) for u in (0.5, 0.4, 0.3)]
    assert because(*falls) is None
    vetoed = [replace(m, flags=(Flag.VALIDATION_VETO,)) for m in falls]
    assert because(falls[0], vetoed[1]) is None, "and they have to be sure"
    assert because(falls[0], vetoed[1], vetoed[2]) is Because.BY_HEART
    assert because(*falls, plan=replace(PLAN, validation=Validation.FULL)) is Because.WORSE


def test_broken_checkpoints_end_it_only_where_there_is_another_to_vote_on() -> None:
    good, broken = measured(0.3), measured(0.3, flags=[Flag.NAN])
    assert because(good, broken) is None
    assert because(good, broken, broken) is Because.BROKEN
    assert because(broken, broken, broken) is None


@pytest.mark.parametrize("count", [0, 1, 5])
def test_neither_before_the_second_checkpoint_nor_after_the_last(count: int) -> None:
    falls = [measured(0.5, utilities=(0.9 - n / 10, 0.9 - n / 10), flags=[Flag.VALIDATION_VETO]) for n in range(5)]
    assert not stopping.verdict(PLAN, run(*falls[:count])).stop
    assert stopping.verdict(PLAN, run(*falls[:3])).stop


def test_a_run_that_ended_early_has_the_checkpoints_up_to_there() -> None:
    ended = Departure(step=96, kind="stopped_early", reason="settled")
    halved = Departure(step=41, kind="learning_rate_halved", reason="the loss exploded")
    assert stopping.marks(PLAN, [halved]) == STEPS
    assert stopping.marks(PLAN, [halved, ended]) == (40, 64, 96)
    assert (stopping.stopped_at([halved]), stopping.stopped_at([halved, ended])) == (None, 96)


def test_made_up_trainings_that_are_far_too_long_give_back_a_third_and_lose_next_to_nothing() -> None:
    made = [made_up(4, 0.05, seed) for seed in range(30)]
    ends = [last_of(training)[0] for training in made]
    assert sum(saved(t.plan, end) for t, end in zip(made, ends, strict=True)) > len(made) / 3
    lost = [1.0 - chosen(t, end) / chosen(t, 5) for t, end in zip(made, ends, strict=True)]
    assert sum(lost) < 0.01 * len(made)


def test_what_another_eye_measured_ends_no_training() -> None:
    """Eyes have scales of their own: a training that goes on where there are others seems to fall, or to have settled."""
    fallen = [measured(utilities=us) for us in ((0.9, 0.91, 0.92), (0.5, 0.52, 0.5), (0.5, 0.51, 0.5))]
    settled = rising(0.80, 0.88, 0.90)
    assert (because(*fallen), because(*settled)) == (Because.WORSE, Because.SETTLED)
    for one in (fallen, settled):
        assert because(*[replace(m, likeness_by="dinov2" if n else "clip") for n, m in enumerate(one)]) is None
