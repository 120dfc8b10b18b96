"""A plan file that a person wrote, read with suspicion: every wrong line is named, with the nearest right one beside it."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml

from storage.domain.bases import BASES
from storage.domain.contradictions import contradictions
from storage.domain.errors import Refusal
from storage.domain.fit import Fit
from storage.domain.knobs import knobs, out_of_bounds
from storage.domain.orders import MAX_PICTURES
from storage.domain.plan import Plan
from storage.domain.portraits import PORTRAITS
from storage.domain.recipes import recipe_names, recipe_of
from storage.domain.stopping import Because
from storage.plan_file import ORDER, Origin

MAX_BYTES = 1 << 18
"""A plan of ours has 12 kB, two thirds of them comments."""
MAX_EVENTS = 20_000
MAX_DEPTH = 8
MOST_DEPARTURES = 64
"""Halvings of rates and batches, and steps down in memory: a dozen are all there are."""
_SHARE = r"(0(\.\d+)?|1(\.0)?|\d(\.\d+)?e-\d+)"
_PICTURE = re.compile(rf"\d{{1,4}} [0-9a-f]{{64}}( {_SHARE}(,{_SHARE}){{3}})?")
"""Place, hash, and the box around its face, where one was found."""
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?")
"""YAML 1.1 takes `1e-4` for a text, for it has no dot; everybody means a number."""


class PlanRefused(Refusal):
    """This plan cannot be carried out."""

    def __init__(self, *reasons: str) -> None:
        super().__init__("This plan cannot be carried out:\n" + "\n".join(f"  - {reason}" for reason in reasons))
        self.reasons = reasons


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a file says; what it leaves out is not here."""

    fields: dict[str, Any]
    """By name, each of its field's type."""
    origin: Origin | None


def read(data: bytes) -> Wanted:
    """The fields of a file. Raises `PlanRefused` with everything that is wrong with single fields."""
    table = _table(data)
    origin, wrong = _origin(table.pop(ORDER, None))
    known = {field.name: field for field in knobs(Plan)}
    taken = {}
    for name, value in table.items():
        if name not in known:
            wrong.append(f"{_shown(name)} is no field of a plan{near(str(name), known)}")
            continue
        try:
            taken[name] = typed(value, known[name].type)
        except ValueError as error:
            wrong.append(f"{name}: {error}")
    if "base" in taken and taken["base"] not in BASES:
        wrong.append(f"base: {_shown(taken['base'])} is no base model that is known here{near(taken['base'], BASES)}")
    if "recipe" in taken and recipe_of(taken["recipe"]) is None:
        known_ones = [*recipe_names(), *PORTRAITS]
        named = taken["recipe"].partition("/")[0].partition("+")[0]
        wrong.append(f"recipe: {_shown(taken['recipe'])} is no recipe that is known here{near(named, known_ones)}")
    if wrong:
        raise PlanRefused(*wrong)
    return Wanted(fields=taken, origin=origin)


def require_sound(plan: Plan) -> None:
    """Raises `PlanRefused` for values beyond their bounds, and for fields that cannot stand together."""
    wrong = [f"{name}: {what}" for name, what in out_of_bounds(plan)]
    wrong = wrong or [f"{name}: {what}" for name, what in contradictions(plan)]
    if wrong:
        raise PlanRefused(*wrong)


def near(name: str, known: Mapping[str, Any] | list[str]) -> str:
    """What to put behind a wrong name: the nearest right one, where there is one."""
    found = difflib.get_close_matches(name.lower().replace("-", "_"), known, n=1, cutoff=0.55)
    found = found or difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.55)
    return f"; {found[0]} is near to it" if found else ""


def _table(data: bytes) -> dict[Any, Any]:
    if len(data) > MAX_BYTES:
        raise PlanRefused(f"the file is longer than {MAX_BYTES // 1024} KiB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PlanRefused("the file is not UTF-8 text; save it again as UTF-8") from error
    try:
        _require_plain(text)
        found = yaml.load(text, Loader=_Loader)  # noqa: S506 -- a SafeLoader, stricter
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise PlanRefused(_said(error)) from error
    if not isinstance(found, dict):
        raise PlanRefused("the file is not a list of fields, each as `name: value`")
    return found


def _require_plain(text: str) -> None:
    """No aliases, which a few lines of can fill any memory, and no depths."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
        if isinstance(event, yaml.AliasEvent):
            raise PlanRefused(
                f"line {event.start_mark.line + 1}: aliases (*{event.anchor}) are not taken; write it out"
            )
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH or count > MAX_EVENTS:
            raise PlanRefused("the file is nested deeper, or holds more, than any plan")


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML ships no types
    """Refuses a field that is there twice: one of both would be ignored."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 -- PyYAML's signature
        seen: set[str] = set()
        for key, _ in node.value:
            if str(key.value) in seen:
                raise ValueError(f"line {key.start_mark.line + 1}: {_shown(key.value)} is there twice")
            seen.add(str(key.value))
        found: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return found


def _said(error: BaseException) -> str:
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        problem = str(getattr(error, "problem", "") or "it is not YAML")
        return f"line {mark.line + 1}: {problem[:200]}"
    return str(error)[:300] if isinstance(error, ValueError) else "the file is not YAML"


def _origin(block: object) -> tuple[Origin | None, list[str]]:
    if block is None:
        return None, []
    try:
        origin: Origin = _record(block, Origin)
    except ValueError as error:
        return None, [f"{ORDER}: {error}; the block is as it was exported, or left out"]
    right = (
        re.fullmatch(r"[2-9a-z]{8}", origin.id) is not None
        and re.fullmatch(r"\d{4}-\d\d-\d\d", origin.made) is not None
        and 0 < len(origin.name) <= 64
        and len(set(origin.pictures)) == len(origin.pictures) <= MAX_PICTURES
        and all(_PICTURE.fullmatch(line) for line in origin.pictures)
        and (origin.fit is None or _can_be(origin.fit))
        and len(origin.departures) <= MOST_DEPARTURES
        and all(0 <= each.step <= 100_000 and len(each.reason) <= 1000 for each in origin.departures)
        and all(each.kind != "stopped_early" or each.reason in set(Because) for each in origin.departures)
    )
    return (origin, []) if right else (None, [f"{ORDER}: it is not as it was exported; leave the block out"])


def _can_be(fit: Fit) -> bool:
    """Whether some machine has this fit."""
    sizes = ((fit.micro_batch, 1, 256), (fit.threads, 1, 1024), (fit.looks_at_once, 0, 4096))
    return fit.contradiction is None and all(least <= size <= most for size, least, most in sizes)


def typed(value: Any, kind: Any) -> Any:  # noqa: ANN401 -- a YAML value and an annotation
    """A YAML value as a field's type. Raises `ValueError` with what is wrong."""
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return None if value is None else typed(value, next(k for k in get_args(kind) if k is not NoneType))
    if value is None:
        raise ValueError("it is empty; give a value or leave the field out")
    if origin is Literal:
        return _one_of(value, {str(each): each for each in get_args(kind)})
    if origin is tuple:
        return _tuple(value, get_args(kind)[0])
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _one_of(value, {str(each.value): each for each in kind})
    return _single(value, kind)


def _single(value: Any, kind: Any) -> Any:  # noqa: ANN401 -- as above
    if kind is bool:
        return _require(value, isinstance(value, bool), "is not true or false")
    if kind is int:
        whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
        return _require(value, whole, "is not a whole number")
    if kind is float:
        return _number(value)
    if kind is str:
        return _require(value, isinstance(value, str), "is not a text; put it in quotes")
    return _record(value, kind)


def _number(value: Any) -> float:  # noqa: ANN401 -- as above
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value)
    right = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
    return float(_require(value, right and math.isfinite(value), "is not a number"))


def _tuple(value: Any, kind: Any) -> tuple[Any, ...]:  # noqa: ANN401 -- as above
    if not isinstance(value, list):
        raise ValueError(f"{_shown(value)} is not a list; put it in [ ]")  # noqa: TRY004 -- one error for whatever a file says
    found = []
    for place, each in enumerate(value, 1):
        try:
            found.append(typed(each, kind))
        except ValueError as error:
            raise ValueError(f"entry {place}: {error}") from error
    return tuple(found)


def _record(value: Any, kind: Any) -> Any:  # noqa: ANN401 -- as above
    """An entry that is a small table itself, such as a preview's prompt."""
    if not isinstance(value, dict):
        raise ValueError(f"{_shown(value)} is not a table of {', '.join(f.name for f in fields(kind))}")  # noqa: TRY004 -- as above
    hints = get_type_hints(kind)
    for name in value:
        if name not in hints:
            raise ValueError(f"{_shown(name)} is not known there{near(str(name), list(hints))}")
    for field in fields(kind):
        if field.name not in value and field.default is MISSING and field.default_factory is MISSING:
            raise ValueError(f"{field.name} is missing")
    return kind(**{name: typed(each, hints[name]) for name, each in value.items()})


def _one_of(value: Any, known: dict[str, Any]) -> Any:  # noqa: ANN401 -- as above
    if str(value) in known:
        return known[str(value)]
    raise ValueError(f"{_shown(value)} is none of {', '.join(known)}{near(str(value), list(known))}")


def _require(value: Any, right: bool, what: str) -> Any:  # noqa: ANN401, FBT001 -- reads as a sentence
    if not right:
        raise ValueError(f"{_shown(value)} {what}")
    return value


def _shown(value: object) -> str:
    text = str(value)
    return ascii(text if len(text) <= 60 else text[:57] + "...") if isinstance(value, str) else text[:60]
