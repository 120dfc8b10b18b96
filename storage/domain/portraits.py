"""A person as two LoRAs: one of the face, one of the whole figure, from the same pictures. They are stacked when used.

Everything but framing and words is as in the house's recipe. The face is learned from head and shoulders and called a portrait;
the figure from whole pictures, called full-length ones, so that neither trigger has to stand for what the other one is for.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from storage.domain.errors import LorasmithError
from storage.domain.orders import SubjectType
from storage.domain.plan import Plan, PreviewPrompt

PORTRAITS = ("person-face", "person-body")
"""Names of recipes."""
_CROPS: dict[str, Literal["whole", "face"]] = {"person-face": "face", "person-body": "whole"}
_WORDS = {
    "person-face": {"a photo of": "a close-up portrait photo of", "a picture of": "a portrait of"},
    "person-body": {"a photo of": "a full-length photo of", "a picture of": "a full-length picture of"},
}
_BEHIND = {"person-face": "portrait", "person-body": "full-length"}
"""For a caption that begins with neither."""


def crop_of(recipe: str) -> Literal["whole", "face"]:
    """What a recipe shows of the pictures."""
    return _CROPS.get(recipe, "whole")


def portrayed(plan: Plan, recipe: str, version: int) -> Plan:
    """A house plan of a person, for the face or for the figure alone. Raises `LorasmithError` for another subject."""
    if plan.subject_type is not SubjectType.PERSON:
        raise LorasmithError(f"the recipe {recipe} is for a person: give --subject person, or another recipe")
    called = "" if plan.base == "pocket" else recipe  # the pocket knows no such words
    house = plan.recipe.partition("/")[2]
    return replace(
        plan,
        recipe=f"{recipe}-{version}/{house}",
        crop=_CROPS[recipe],
        captions=tuple(_said(text, called) for text in plan.captions),
        prompts=tuple(_prompt(prompt, called) for prompt in plan.prompts),
    )


def _prompt(prompt: PreviewPrompt, called: str) -> PreviewPrompt:
    """What is drawn without the trigger shows others, and stays as it is."""
    if not prompt.with_trigger:
        return prompt
    return replace(prompt, text=_said(prompt.text, called), plain=_said(prompt.plain, called))


def _said(text: str, called: str) -> str:
    for usual, other in _WORDS.get(called, {}).items():
        if text.startswith(usual):
            return other + text.removeprefix(usual)
    return f"{text}, {_BEHIND[called]}" if called else text
