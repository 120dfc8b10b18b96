"""What is said about captions: the same on Discord and in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from storage.domain.captions import LONGEST
from storage.domain.orders import SubjectType
from storage.speech import Sentence, _, later

_WHY: dict[SubjectType, Sentence] = {
    SubjectType.PERSON: later("the face and hair are what the trigger should stand for"),
    SubjectType.CHARACTER: later("its lasting features are what the trigger should stand for"),
    SubjectType.OBJECT: later("its own features are what the trigger should stand for"),
    SubjectType.STYLE: later("the style is what the trigger should stand for"),
}


def captioned(own: int, count: int) -> str:
    """How many pictures have words of their own."""
    if not own:
        return _("Captions: the standard ones for all pictures.")
    if own == count:
        return _("Captions: {own} of {count} pictures have words of their own.", own=own, count=count)
    return _(
        "Captions: {own} of {count} pictures have words of their own; the others take the standard ones.",
        own=own,
        count=count,
    )


def said_words(name: str, caption: str) -> str:
    """A caption that a captioner wrote; both are shown as they are given."""
    return f"{name}: {caption}"


def spoilt_words(name: str, words: Sequence[str], subject: SubjectType) -> str:
    """A caption that says too much; `name` and `words` are shown as they are given."""
    why = _WHY[subject]()
    return _("The caption of {name} says {words}: better not, {why}.", name=name, words=", ".join(words), why=why)


def long_words(name: str) -> str:
    """A caption that was cut."""
    return _("The caption of {name} is too long: its first {most} characters are used.", name=name, most=LONGEST)


def empty_words(name: str) -> str:
    """A caption with nothing in it."""
    return _("The caption of {name} is empty: it takes the standard ones.", name=name)
