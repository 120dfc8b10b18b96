"""What is said about captions: the same on Discord and in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from storage.domain.captions import LONGEST
from storage.domain.orders import SubjectType

_WHY: dict[SubjectType, str] = {
    SubjectType.PERSON: "the face and hair are what the trigger should stand for",
    SubjectType.CHARACTER: "its lasting features are what the trigger should stand for",
    SubjectType.OBJECT: "its own features are what the trigger should stand for",
    SubjectType.STYLE: "the style is what the trigger should stand for",
}


def captioned(own: int, count: int) -> str:
    """How many pictures have words of their own."""
    if not own:
        return "Captions: the standard ones for all pictures."
    rest = "" if own == count else "; the others take the standard ones"
    return f"Captions: {own} of {count} pictures have words of their own{rest}."


def said_words(name: str, caption: str) -> str:
    """A caption that a captioner wrote; both are shown as they are given."""
    return f"{name}: {caption}"


def spoilt_words(name: str, words: Sequence[str], subject: SubjectType) -> str:
    """A caption that says too much; `name` and `words` are shown as they are given."""
    return f"The caption of {name} says {', '.join(words)}: better not, {_WHY[subject]}."


def long_words(name: str) -> str:
    """A caption that was cut."""
    return f"The caption of {name} is too long: its first {LONGEST} characters are used."


def empty_words(name: str) -> str:
    """A caption with nothing in it."""
    return f"The caption of {name} is empty: it takes the standard ones."
