"""What was learned goes into plans, by name and number, and comes back from storage as it was."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from storage.domain.budget import drawing_share, most_share
from storage.domain.learned import Learned, evidence, learned_from
from storage.domain.lesson import Dose, Lesson, taught
from storage.domain.orders import SubjectType
from storage.domain.plan import Plan
from storage.domain.recipes import PictureOf, plan_for, recipe_named
from storage.domain.taste import Taste, usual_taste
from tests.storage.voters import ballot, voted

PICTURES = [PictureOf(id=f"p{n}", dhash=n) for n in range(8)]
LESSON = Lesson(number=17, dose=Dose(steps=0.75, learning_rate=0.9), taste=Taste(likeness=0.52, leakage=0.6))


def planned(recipe: str = "house", lesson: Lesson | None = None, kind: SubjectType = SubjectType.OBJECT) -> Plan:
    return plan_for(
        base="pocket",
        subject_type=kind,
        class_word="toy",
        trigger="zorvex",
        seed=1,
        pictures=PICTURES,
        recipe=recipe,
        lesson=lesson,
    )


def test_a_lesson_changes_steps_rate_and_judgement_and_says_so_in_the_recipe() -> None:
    plain, plan = planned(), planned(lesson=LESSON)
    assert plan.recipe == "house-1+17/pocket/object"
    assert recipe_named(plan.recipe) == "house"
    assert (plan.steps, plan.checkpoint_steps) == (120, (30, 48, 72, 96, 120))
    assert plan.warmup_steps == 6
    assert plan.learning_rate == pytest.approx(0.9 * plain.learning_rate)
    assert plan.taste == LESSON.taste
    assert plain.taste == usual_taste(SubjectType.OBJECT)
    assert Plan.from_json(plan.to_json()) == plan


@pytest.mark.parametrize("times", [0.5, 0.75, 1.5])
def test_a_lesson_keeps_drawing_within_the_share_of_the_pocket(times: float) -> None:
    assert drawing_share(planned()) > 0.45, "half the steps with the same panel would be beyond it"
    assert drawing_share(planned(lesson=replace(LESSON, dose=Dose(steps=times)))) <= most_share("pocket")


def test_without_a_lesson_and_for_other_recipes_plans_are_as_they_were() -> None:
    assert planned(lesson=None).recipe == "house-1/pocket/object"
    assert planned("ai-toolkit", LESSON) == planned("ai-toolkit")
    face = planned("person-face", LESSON, SubjectType.PERSON)
    assert face == planned("person-face", None, SubjectType.PERSON)


def test_a_dose_alone_leaves_the_judgement_to_the_subject_type() -> None:
    plan = taught(planned(), replace(LESSON, taste=None))
    assert (plan.likeness_weight, plan.variety_power, plan.leakage_weight) == (None, None, None)


def test_lessons_are_by_base_and_subject() -> None:
    values = Learned(
        tastes={SubjectType.STYLE: Taste(likeness=0.45)}, doses={("pocket", SubjectType.OBJECT): Dose(steps=1.2)}
    )
    assert values.lesson(3, "pocket", SubjectType.PERSON) is None
    assert values.lesson(3, "sdxl", SubjectType.OBJECT) is None
    assert values.lesson(3, "pocket", SubjectType.OBJECT) == Lesson(number=3, dose=Dose(steps=1.2), taste=None)
    assert values.lesson(3, "sdxl", SubjectType.STYLE) == Lesson(number=3, dose=Dose(), taste=Taste(likeness=0.45))
    assert Learned.from_json(values.to_json()) == values


def test_each_kind_of_order_is_learned_by_itself() -> None:
    chance = random.Random(5)
    bold = [voted(chance, Taste(likeness=0.9)) for _ in range(40)]
    shy = [replace(voted(chance, Taste(likeness=0.1)), subject_type=SubjectType.STYLE) for _ in range(40)]
    found = learned_from([*bold, *shy])
    assert found.tastes[SubjectType.OBJECT].likeness > usual_taste(SubjectType.OBJECT).likeness
    assert found.tastes[SubjectType.STYLE].likeness < usual_taste(SubjectType.STYLE).likeness
    assert SubjectType.PERSON not in found.tastes
    counts = evidence([*bold, *shy, ballot([1, 1])])
    assert 30 <= counts.tastes[SubjectType.OBJECT] <= 40
    assert counts.doses["pocket", SubjectType.STYLE] == counts.tastes[SubjectType.STYLE]


def test_nothing_is_learned_from_nothing() -> None:
    assert learned_from([]) == Learned()
    assert learned_from([ballot([0, 0, 0]), ballot([1, 1])]) == Learned()
