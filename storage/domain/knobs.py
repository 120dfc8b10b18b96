"""What a field of a plan means and how far it may go: one source for the plan file, the refusals and the docs.

A field carries its knob in its annotation: `rank: Annotated[int, Knob(meaning=..., ...)]`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sized
from dataclasses import dataclass, fields
from enum import Enum
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints


@dataclass(frozen=True, kw_only=True)
class Knob:
    """One field of a plan, for a person who may want to change it."""

    meaning: str
    unit: str = ""
    change: str = ""
    """When to change it, and which way."""
    source: str = ""
    """Where the equation or the usual value comes from."""
    least: float | None = None
    """Of a number its value, of a text or a list its length."""
    most: float | None = None
    longest: int | None = None
    """Characters of every text in a list of texts."""
    only: str | None = None
    """`diffusion` or `flow`, where the field means nothing for bases of the other kind."""


@dataclass(frozen=True, kw_only=True)
class Field:
    """A field of a plan with all that is known of it."""

    name: str
    type: Any
    """The annotation without its knob."""
    knob: Knob


@cache
def knobs(of: type) -> tuple[Field, ...]:
    """The fields of a plan's class, in order. Raises `TypeError` for a field without a knob."""
    hints = get_type_hints(of, include_extras=True)
    return tuple(_field(field.name, hints[field.name]) for field in fields(of))


def _field(name: str, hint: Any) -> Field:  # noqa: ANN401 -- an annotation
    if get_origin(hint) is not Annotated:
        raise TypeError(f"the field {name} has no knob")
    type_, *rest = get_args(hint)
    found = [each for each in rest if isinstance(each, Knob)]
    if len(found) != 1:
        raise TypeError(f"the field {name} needs one knob")
    return Field(name=name, type=type_, knob=found[0])


def out_of_bounds(plan: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401 -- any dataclass whose fields have knobs
    """(name, what is wrong with it) of every field beyond its bounds: far beyond any recipe, against hostile plans."""
    kind: Any = type(plan)  # the cache takes what is hashable, and mypy doubts that of classes
    for field in knobs(kind):
        value = getattr(plan, field.name)
        wrong = _unknown(value, field.type) or _wrong(value, field.knob)
        if wrong:
            yield field.name, wrong


def bounds(knob: Knob) -> str:
    """How far it may go, as words; empty where there is no bound."""
    if knob.least is not None and knob.most is not None:
        return f"{knob.least:g} to {knob.most:g}"
    if knob.least is not None:
        return f"at least {knob.least:g}"
    return "" if knob.most is None else f"at most {knob.most:g}"


def _unknown(value: Any, kind: Any) -> str:  # noqa: ANN401 -- a field's value and annotation
    if get_origin(kind) is not Literal or value in get_args(kind):
        return ""
    return f"{str(value)[:40]!r} is none of {', '.join(map(str, get_args(kind)))}"


def _wrong(value: Any, knob: Knob) -> str:  # noqa: ANN401 -- a field's value
    if value is None or isinstance(value, bool | Enum):
        return ""
    sized = isinstance(value, Sized)
    size = len(value) if isinstance(value, Sized) else value
    if not isinstance(size, int | float) or not math.isfinite(size):
        return f"{value} is not a number that can be used"
    if (knob.least is not None and size < knob.least) or (knob.most is not None and size > knob.most):
        return f"{f'its length {size}' if sized else size} is not {_between(knob)}"
    if knob.longest is not None and any(len(text) > knob.longest for text in value):
        return f"a text in it is longer than {knob.longest} characters"
    return ""


def _between(knob: Knob) -> str:
    text = bounds(knob)
    return f"from {text}" if " to " in text else text
