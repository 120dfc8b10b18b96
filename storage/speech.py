"""The language in force, and the one way to say a sentence in it.

English sentences stand in the code and are the keys of the catalogues (`storage/texts`): `_("Step {step}", step=3)`. Which
language is in force is said at the edges with `with speaking("fr"):`; it follows into awaited calls, tasks and
`Database.transact`. Nobody says one in the terminal and the workers, so these speak English.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from storage.catalogues import Catalogue

ENGLISH = "en"
LANGUAGES = (ENGLISH, *sorted(path.stem for path in (Path(__file__).parent / "texts").glob("*.po")))
"""A language is added by its file."""
_OLD_NAMES = {"iw": "he"}
_IN_FORCE: ContextVar[str] = ContextVar("language", default=ENGLISH)
_FIRST_STRONG, _POP, _RIGHT_TO_LEFT = "\u2068", "\u2069", "\u200f"
_PLACE = re.compile(r"(\*\*|`)?\{\w+\}(?(1)\1)")
"""A value in a sentence, with the marks around it: what is copied from between back-ticks has no invisible signs in it."""


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Say everything in this language; what is not in `LANGUAGES` is English."""
    token = _IN_FORCE.set(language_of(language))
    try:
        yield
    finally:
        _IN_FORCE.reset(token)


def speak(language: str) -> None:
    """The same for the rest of a task that belongs to one member alone."""
    _IN_FORCE.set(language_of(language))


def spoken() -> str:
    """The language in force."""
    return _IN_FORCE.get()


def language_of(*locales: str) -> str:
    """The language that we speak for the first of these that we know, such as `en-US`, `fr` or `he-IL`; else English."""
    short = (locale.replace("_", "-").partition("-")[0].lower() for locale in locales)
    return next((name for s in short if (name := _OLD_NAMES.get(s, s)) in LANGUAGES), ENGLISH)


def language_name(language: str) -> str:
    """What a language is called in itself."""
    return "English" if language == ENGLISH else _catalogue(language).name


def is_rtl(language: str) -> bool:
    """Whether a language is written from right to left."""
    return language != ENGLISH and _catalogue(language).rtl


def _(english: str, /, **values: object) -> str:
    """A sentence in the language in force, with its values."""
    return _filled(translated(english), values)


def ngettext(one: str, many: str, count: int, /, **values: object) -> str:
    """A sentence about a number of things; the number is its `{count}`."""
    values = {"count": count, **values}
    if spoken() == ENGLISH:
        return _filled(one if count == 1 else many, values)
    return _filled(_catalogue(spoken()).texts.ngettext(one, many, count), values)


def translated(english: str) -> str:
    """A text of ours that was marked elsewhere; what no catalogue knows stays as it is."""
    language = spoken()
    return english if language == ENGLISH or not english else _catalogue(language).texts.gettext(english)


@dataclass(frozen=True)
class Sentence:
    """A sentence that is said later, in the language that is in force then. It is no text, so that none is said in English."""

    english: str

    def __call__(self, **values: object) -> str:
        """Say it."""
        return _filled(translated(self.english), values)


def later(english: str) -> Sentence:
    """A sentence of a table or a constant."""
    return Sentence(english)


def decimal(value: float, digits: int) -> str:
    """A number with so many digits after the sign that the language uses."""
    return _signed(f"{value:.{digits}f}")


def number(value: float) -> str:
    """A number with as many digits as it needs."""
    return _signed(f"{value:g}")


def _signed(digits: str) -> str:
    return digits if spoken() == ENGLISH else digits.replace(".", _catalogue(spoken()).decimal)


def _filled(text: str, values: dict[str, object]) -> str:
    if not values:
        return text
    return (_isolated(text) if is_rtl(spoken()) else text).format(**values)


@cache
def _isolated(text: str) -> str:
    """Values stand in isolates, so that Latin names, numbers and mentions do not turn the sentence around them.

    A line runs as its first letter outside of isolates does; where there is none, a mark without a sign stands for it.
    https://www.w3.org/International/articles/inline-bidi-markup/
    """
    before = "" if any(c.isalpha() for c in _PLACE.sub("", text)) else _RIGHT_TO_LEFT
    isolated = _PLACE.sub(lambda found: f"{_FIRST_STRONG}{found[0]}{_POP}", text)
    return isolated.replace(_FIRST_STRONG, before + _FIRST_STRONG, 1)


def _catalogue(language: str) -> Catalogue:
    from storage.catalogues import catalogue  # noqa: PLC0415  # Babel is loaded where another language than English is spoken

    return catalogue(language)
