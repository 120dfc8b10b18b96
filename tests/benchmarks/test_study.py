"""The rules of the comparisons: equal seconds, equal subjects, one process at a training."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from storage.domain.plan import Plan
from storage.plan_reading import require_sound
from storage.system import Locked
from tests.benchmarks.ablation import TECHNIQUES
from tests.benchmarks.examiner import COMPARED, DEVELOPMENT, NEW_OTHERS, NEW_PLACES, WAYS, Score
from tests.benchmarks.recipes import RIVALS
from tests.benchmarks.study import chosen_subjects, in_steps, paced
from tests.benchmarks.trainings import held, plan_of, together
from trainer.pocket.subjects import test_subject


@pytest.fixture(scope="module")
def ours() -> Plan:
    return plan_of(test_subject("object", 0))


def seconds(plan: Plan) -> float:
    """A step costs a second, and half a second more for every picture after the first."""
    return 0.5 + 0.5 * plan.batch_size


@pytest.mark.parametrize("name", RIVALS)
def test_no_rival_gets_more_seconds_than_ours_and_none_gets_much_less(ours: Plan, name: str) -> None:
    rival = paced(RIVALS[name](ours), ours, seconds)
    budget = ours.steps * seconds(ours)
    assert 0.75 * budget <= rival.steps * seconds(rival) <= budget
    assert rival.checkpoint_steps[-1] == rival.steps


def test_a_rival_that_is_too_long_is_cut_short_at_batch_1(ours: Plan) -> None:
    rival = paced(RIVALS["fixed 1000 steps"](ours), ours, seconds)
    assert (rival.batch_size, rival.steps) == (1, 720)


@pytest.mark.parametrize("name", TECHNIQUES)
def test_a_technique_changes_the_plan_and_keeps_its_batch(ours: Plan, name: str) -> None:
    changed = TECHNIQUES[name](ours)
    assert changed != ours
    require_sound(changed)
    trained = in_steps(changed, ours, lambda plan: seconds(plan) * (1.5 if plan.prior != "none" else 1))
    assert trained.batch_size == changed.batch_size
    if changed.prior != "none":
        assert trained.steps == round(ours.steps / 1.5)


def test_prompts_of_the_score_are_seen_by_no_training(ours: Plan) -> None:
    plans = [ours, *(recipe(ours) for recipe in (TECHNIQUES | RIVALS).values())]
    for plan in plans:
        asked = [*(prompt.text for prompt in plan.prompts), *plan.prior_prompts, *plan.captions]
        assert not [text for text in asked if any(new in text for new in (*NEW_PLACES, *NEW_OTHERS))]


def test_rates_and_techniques_are_chosen_on_other_subjects() -> None:
    compared, development = chosen_subjects(20, COMPARED), chosen_subjects(26, DEVELOPMENT)
    assert len({(s.kind, s.index) for s in compared} | {(s.kind, s.index) for s in development}) == 46
    assert {s.index for s in compared} <= set(range(COMPARED, WAYS))
    assert {s.index for s in development} <= set(range(DEVELOPMENT, DEVELOPMENT + WAYS))
    assert {s.kind for s in compared} == {"object", "character", "person"}


def test_a_score_is_nothing_where_one_of_its_parts_is() -> None:
    good = Score(likeness=0.8, obedience=0.8, others=0.8)
    assert good.whole == pytest.approx(0.8)
    assert replace(good, others=0.0).whole == 0.0


def test_two_processes_leave_a_training_to_each_other(tmp_path: Path) -> None:
    with held(tmp_path / "a.lock", wait=False):
        with pytest.raises(Locked), held(tmp_path / "a.lock", wait=False):
            pass
        with held(tmp_path / "b.lock", wait=False):
            pass
    with held(tmp_path / "a.lock", wait=False):
        pass


def test_what_another_process_is_at_is_left_to_it_until_the_end() -> None:
    asked: list[tuple[str, bool]] = []

    def job(name: str, wait: bool) -> str:  # noqa: FBT001 -- `together` calls it so
        asked.append((name, wait))
        if name == "theirs" and not wait:
            raise Locked
        return name

    assert together([partial(job, "theirs"), partial(job, "ours")]) == ["theirs", "ours"]
    assert asked == [("theirs", False), ("ours", False), ("theirs", True), ("ours", True)]
