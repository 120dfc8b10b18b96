"""A person as two LoRAs: the same pictures and numbers, other framing and other words."""

from __future__ import annotations

from dataclasses import fields

import pytest

from storage.domain.bases import BASES
from storage.domain.errors import LorasmithError
from storage.domain.orders import SubjectType
from storage.domain.plan import Plan
from storage.domain.portraits import PORTRAITS, crop_of
from storage.domain.recipes import PictureOf, plan_for, recipe_named, recipe_names
from storage.plan_reading import require_sound


def plan_of(recipe: str, base: str = "sdxl", subject: SubjectType = SubjectType.PERSON) -> Plan:
    return plan_for(
        base=base,
        subject_type=subject,
        class_word="woman",
        trigger="zorvex",
        seed=3,
        pictures=[PictureOf(id=f"p{n}", dhash=n) for n in range(9)],
        recipe=recipe,
    )


@pytest.mark.parametrize("base", list(BASES))
@pytest.mark.parametrize("recipe", PORTRAITS)
def test_only_framing_and_words_differ_from_the_house(recipe: str, base: str) -> None:
    house, plan = plan_of("house", base), plan_of(recipe, base)
    require_sound(plan)
    differ = {f.name for f in fields(Plan) if getattr(house, f.name) != getattr(plan, f.name)}
    words = set() if base == "pocket" else {"captions", "prompts"}
    assert differ == words | {"recipe"} | ({"crop"} if recipe == "person-face" else set())
    assert recipe_named(plan.recipe) == recipe
    assert crop_of(recipe) == plan.crop
    assert [p.seeds for p in plan.prompts] == [p.seeds for p in house.prompts]


def test_every_caption_says_what_is_shown() -> None:
    face, body = plan_of("person-face"), plan_of("person-body")
    assert face.captions == (
        "a close-up portrait photo of {trigger} {class_word}",
        "{trigger} {class_word}, portrait",
        "a portrait of {trigger} {class_word}",
    )
    assert all("full-length" in caption for caption in body.captions)
    for plan, word in ((face, "portrait"), (body, "full-length")):
        for prompt in plan.prompts:
            assert (word in prompt.text) == (word in prompt.plain) == prompt.with_trigger


def test_they_are_for_persons_and_members_never_get_them_by_chance() -> None:
    assert not set(PORTRAITS) & set(recipe_names())
    for subject in set(SubjectType) - {SubjectType.PERSON}:
        with pytest.raises(LorasmithError, match="is for a person"):
            plan_of("person-face", subject=subject)
