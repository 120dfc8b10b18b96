"""What pictures may be called, by what they show."""

from __future__ import annotations

import pytest

from storage.domain.captions import LONGEST, clean, question, spoken, unwanted
from storage.domain.orders import SubjectType

PERSON, STYLE, OBJECT, CHARACTER = SubjectType.PERSON, SubjectType.STYLE, SubjectType.OBJECT, SubjectType.CHARACTER


def said(text: str, subject: SubjectType = OBJECT) -> str:
    return spoken(text, subject=subject, trigger="zorvex", class_word="toy")


def test_the_trigger_comes_with_its_class_word_where_it_was_not_written() -> None:
    assert said("on a table") == "zorvex toy, on a table"
    assert said("a {trigger} {class_word} at night") == "a zorvex toy at night"
    assert said("Zorvex on grass") == "Zorvex on grass"
    assert said("a zorvexed toy") == "zorvex toy, a zorvexed toy"
    assert said("a cat on grass.", STYLE) == "a cat on grass, zorvex style"
    assert said("") == ""


@pytest.mark.parametrize(
    ("subject", "text", "words"),
    [
        (PERSON, "a woman with long blonde hair and blue-eyed smile, in a park", ("blonde", "hair", "blue-eyed")),
        (PERSON, "smiling, wearing a red coat, in the rain", ()),
        (PERSON, "a dark-skinned young man facing the sea", ("dark-skinned", "young")),
        (PERSON, "an old house behind the woman, her hand on a rail", ()),
        (CHARACTER, "with striped fur on a sofa", ("striped", "fur")),
        (STYLE, "a watercolor painting of a cat", ("watercolor", "painting")),
        (STYLE, "a cat on grass, zorvex style", ()),
        (STYLE, "a black-and-white photo of a street", ("black-and-white", "photo")),
        (OBJECT, "a painted cup with eyes", ()),
    ],
)
def test_words_that_take_from_the_trigger_are_named(subject: SubjectType, text: str, words: tuple[str, ...]) -> None:
    assert unwanted(text, subject, trigger="zorvex") == words


def test_a_captioner_is_asked_to_leave_out_what_is_to_be_learned() -> None:
    assert "hair" in question(PERSON, "woman")
    assert "'the woman'" in question(PERSON, "woman")
    assert "Never mention the style" in question(STYLE, "picture")
    assert len({question(kind, "toy") for kind in SubjectType}) == len(SubjectType)


@pytest.mark.parametrize(
    ("subject", "asked_for", "left_out"),
    [
        (PERSON, "pose, expression, clothes, light, place and background", "face, hair, eyes, skin, age"),
        (CHARACTER, "pose, action, light, place and background", "colours, face, hair, fur, markings"),
        (OBJECT, "where it stands, the view, light and background", "colour, material, shape, pattern or parts"),
        (STYLE, "only what is shown", "style, medium, technique, colours or mood"),
    ],
)
def test_what_may_change_is_asked_for_and_what_never_does_is_forbidden(
    subject: SubjectType, asked_for: str, left_out: str
) -> None:
    asked = question(subject, "mug")
    assert asked_for in asked
    assert left_out in asked[asked.index("Never mention") :]
    assert ("'the mug'" in asked) == (subject is not STYLE), "a style's class word says nothing of a picture"
    assert "mug" in asked or subject is STYLE
    assert question(subject, "").count("'the subject'") == (subject is not STYLE)


def test_a_caption_is_one_clean_line() -> None:
    assert clean(" a\tcat\n on\x00  grass\u202e ") == "a cat on grass"
    assert len(clean("a" * 5000)) == LONGEST
