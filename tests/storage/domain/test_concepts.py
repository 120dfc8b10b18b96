"""Several concepts in a plan: what stands in it, what its recipe makes, and what cannot be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from storage.domain.concepts import calls, in_turn, prompt_words, shown, turns, voiced
from storage.domain.contradictions import contradictions
from storage.domain.knobs import out_of_bounds
from storage.domain.orders import SubjectType
from storage.domain.plan import Concept, Plan
from storage.domain.recipes import PictureOf, plan_for, steps_for


def concepts(*counts: int) -> tuple[Concept, ...]:
    words = ("zorvex", "kredax", "mublix", "fynjov", "qualix", "pyxryn", "skotev", "wubyol", "tevnul", "daxzor")
    ids = [[f"{word}{n}" for n in range(count)] for word, count in zip(words, counts, strict=False)]
    return tuple(
        Concept(trigger=word, class_word=f"kind{n % 3}", pictures=tuple(own))
        for n, (word, own) in enumerate(zip(words, ids, strict=False))
    )


def plan_of(*counts: int, base: str = "pocket", subject: SubjectType = SubjectType.OBJECT, **changes: Any) -> Plan:
    of = concepts(*counts)
    made = plan_for(
        base=base,
        subject_type=subject,
        class_word=of[0].class_word,
        trigger=of[0].trigger,
        seed=3,
        pictures=[PictureOf(id=id_, dhash=n) for n, id_ in enumerate(id_ for c in of for id_ in c.pictures)],
        concepts=of,
    )
    return replace(made, **changes)


@pytest.mark.parametrize("subject", list(SubjectType))
@pytest.mark.parametrize("base", ["pocket", "sdxl", "flux2-klein-4b"])
@pytest.mark.parametrize("counts", [(8, 8), (20, 4), (4,) * 10, (10, 10, 10, 10)])
def test_every_recipe_of_several_concepts_is_sound_and_is_stored_whole(
    counts: tuple[int, ...], base: str, subject: SubjectType
) -> None:
    plan = plan_of(*counts, base=base, subject=subject)
    assert not [*out_of_bounds(plan), *contradictions(plan)]
    assert Plan.from_json(plan.to_json()) == plan
    rows = [shown(plan, prompt.text) for prompt in plan.prompts if prompt.with_trigger]
    assert {number for row in rows for number in row} == {*range(len(counts))}
    assert {(number,) for number in range(len(counts))} <= {*rows}, "each has a row of its own"
    assert (0, 1) in rows, "and two stand together in one"
    assert sum(not prompt.with_trigger for prompt in plan.prompts) > 0
    assert len(plan.prompts) <= 16
    assert not any(calls(prompt.plain, c.trigger) for prompt in plan.prompts for c in plan.concepts)


def test_two_concepts_get_the_steps_that_each_would_get_alone() -> None:
    alone = [steps_for("house", SubjectType.OBJECT, count, pocket=True) for count in (8, 12)]
    assert plan_of(8, 12).steps == sum(alone) == 160 + 240
    assert plan_of(8, 12).checkpoint_steps[-1] == 400


@pytest.mark.parametrize(
    ("counts", "held"), [((8, 8), (1, 1)), ((4, 4), (1, 0)), ((20, 10), (2, 1)), ((16, 12, 12), (2, 1, 1))]
)
def test_pictures_are_held_out_of_every_concept_by_its_size(counts: tuple[int, ...], held: tuple[int, ...]) -> None:
    plan = plan_of(*counts)
    assert tuple(len({*plan.held_out} & {*c.pictures}) for c in plan.concepts) == held


def test_a_picture_is_called_by_its_concept_and_seen_as_often_as_that_says() -> None:
    plan = plan_of(4, 4)
    one, other = plan.concepts
    plan = replace(plan, concepts=(one, replace(other, repeats=3)), repeats=("kredax1",))
    assert (voiced(plan, "zorvex2").trigger, voiced(plan, "kredax2").trigger) == ("zorvex", "kredax")
    assert voiced(plan, "class-0") is plan
    assert [turns(plan, id_) for id_ in ("zorvex0", "kredax0", "kredax1")] == [1, 3, 4]
    assert in_turn(plan, ["zorvex0", "zorvex1", "kredax0"], lambda id_: id_) == ["zorvex0", "kredax0", "zorvex1"]
    assert prompt_words(plan) == ("zorvex kind0", "kredax kind1")


def _changed(plan: Plan, **changes: Any) -> Plan:
    """The second concept changed."""
    return replace(plan, concepts=(plan.concepts[0], replace(plan.concepts[1], **changes)))


@pytest.mark.parametrize(
    ("change", "field", "why"),
    [
        (lambda p: _changed(p, trigger="Zorvex"), "concepts", "the trigger zorvex stands for 2 of them"),
        (lambda p: _changed(p, class_word="zorvex dog"), "concepts", "the trigger zorvex is in the words of another"),
        (lambda p: _changed(p, trigger=" "), "concepts", "needs a trigger and a class_word"),
        (lambda p: _changed(p, class_word="x" * 201), "concepts", "needs a trigger and a class_word"),
        (lambda p: _changed(p, repeats=0), "concepts", "the repeats of kredax are not from 1 to 1000"),
        (lambda p: _changed(p, pictures=()), "concepts", "kredax has no pictures"),
        (lambda p: _changed(p, pictures=("kredax0", "zorvex0")), "concepts", "the picture zorvex0 stands there 2 times"),
        (lambda p: replace(p, held_out=p.concepts[1].pictures), "concepts", "all pictures of kredax are held out"),
        (lambda p: replace(p, concepts=p.concepts[:1]), "concepts", "one alone is what trigger and class_word say"),
        (lambda p: replace(p, trigger="other"), "trigger", "it is not that of the first concept, zorvex"),
        (lambda p: replace(p, class_word="cat"), "class_word", "it is not that of the first concept"),
        (lambda p: replace(p, prompts=(*p.prompts[:2], p.prompts[-1])), "prompts", "none of them shows kredax"),
        (lambda p: replace(p, prompts=(*p.prompts, replace(p.prompts[-1], text="a kredax cat"))), "prompts", "has a trigger"),
        (lambda p: replace(p, prompts=(*p.prompts, replace(p.prompts[0], text="a cat"))), "prompts", "'a cat' has no trigger"),
        (lambda p: replace(p, captions=("a zorvex toy",)), "captions", "each needs {trigger}"),
        (lambda p: replace(p, prior="base_prediction", prior_prompts=("a kredax",)), "prior_prompts", "a trigger is in one"),
        (lambda p: replace(p, prior="class_pictures", prior_pictures=1), "prior_pictures", "fewer than the 2 classes"),
    ],
)  # fmt: skip
def test_concepts_that_contradict_themselves_or_the_plan_are_named(change: Any, field: str, why: str) -> None:
    found = list(contradictions(change(plan_of(4, 4))))
    assert any(name == field and why in what for name, what in found), found


def test_going_on_from_a_lora_may_add_a_concept() -> None:
    assert not list(contradictions(plan_of(4, 4, continue_from="0" * 64)))
