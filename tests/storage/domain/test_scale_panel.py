"""What chooses the scale is not what is reported: other prompts of the same kind, at other seeds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from storage.domain.concepts import shown
from storage.domain.orders import SubjectType
from storage.domain.plan import Concept, Plan
from storage.domain.recipes import PictureOf, plan_for
from storage.domain.scale_panel import once, scale_prompts, strip_prompts


def plan(kind: SubjectType, base: str = "pocket", concepts: tuple[Concept, ...] = ()) -> Plan:
    return plan_for(
        base=base,
        subject_type=kind,
        class_word="robot",
        trigger="zorvex",
        seed=7,
        pictures=[PictureOf(id=f"p{n}", dhash=n) for n in range(8)],
        concepts=concepts,
    )


@pytest.mark.parametrize("kind", list(SubjectType))
@pytest.mark.parametrize("base", ["pocket", "sdxl"])
def test_prompts_and_seeds_that_choose_the_scale_are_none_of_the_plan_s(kind: SubjectType, base: str) -> None:
    made = plan(kind, base)
    own, other = made.prompts, scale_prompts(made)
    assert not {p.text for p in own} & {p.text for p in other}
    assert not {p.plain for p in own} & {p.plain for p in other}
    assert not {s for p in own for s in p.seeds} & {s for p in other for s in p.seeds}
    assert len({s for p in other for s in p.seeds}) == sum(len(p.seeds) for p in other)
    assert [p.with_trigger for p in other].count(True) == [p.with_trigger for p in own].count(True)
    assert all(("zorvex" in p.text) is p.with_trigger and "zorvex" not in p.plain for p in other)
    beside = [p for p in other if not p.with_trigger]
    assert [len(p.seeds) for p in beside] == [2] * 2 * [p.with_trigger for p in own].count(False)
    assert [p.seeds for p in once(other)] == [p.seeds[:1] for p in other]


def test_a_plan_s_own_prompts_say_how_many_choose_and_one_without_others_measures_no_leakage() -> None:
    made = plan(SubjectType.OBJECT)
    assert len(scale_prompts(replace(made, prompts=made.prompts[:1]))) == 1
    assert all(p.with_trigger for p in scale_prompts(replace(made, prompts=made.prompts[:3])))
    assert scale_prompts(replace(made, seed=8)) != scale_prompts(made)


def test_every_concept_is_called_as_often_as_the_others() -> None:
    words = ("zorvex", "kredax", "blimfo")
    concepts = tuple(
        Concept(trigger=word, class_word="robot", pictures=(f"p{n}", f"p{n + 3}")) for n, word in enumerate(words)
    )
    made = plan(SubjectType.OBJECT, concepts=concepts)
    calls = [shown(made, p.text) for p in scale_prompts(made) if p.with_trigger]
    assert {len(numbers) for numbers in calls} == {1}
    assert [calls.count((n,)) for n in range(3)] == [2, 2, 2]
    assert len({p.text for p in scale_prompts(made)}) == 6 + 4
    assert [shown(made, p.text) for p in strip_prompts(made)] == [(0,), (1,), (2,), ()]


def test_the_strip_shows_the_plan_s_own_prompts_and_the_one_without_the_trigger_at_all_its_seeds() -> None:
    made = plan(SubjectType.STYLE)
    first, second, other = strip_prompts(made)
    assert [first.text, second.text] == [p.text for p in made.prompts[:2]]
    assert (first.seeds, other) == (made.prompts[0].seeds[:1], made.prompts[4])
