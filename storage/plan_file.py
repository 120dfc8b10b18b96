"""The plan file: every field of a plan as YAML, with what it means beside it, and back again.

What a field means, its unit, its bounds and its source come from its knob (`storage.domain.knobs`). A file may leave fields
out: those come from the recipe. Nothing in a file is ever ignored.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from enum import Enum
from typing import Any, get_origin

import yaml

from storage.domain.budget import drawing_share, drawn, picture_in_steps
from storage.domain.fit import Departure, Fit
from storage.domain.knobs import Field, bounds, knobs
from storage.domain.learning import Learning
from storage.domain.material import Material
from storage.domain.objective import Objective
from storage.domain.plan import Plan
from storage.domain.prior import Prior
from storage.domain.taste import Judging

WIDTH = 108
HEAD = """\
# A plan for `lorasmith train DIR --plan FILE`: everything that decides what is learned.
# Change what you like and leave the rest; what is left out comes from the recipe for the base and the subject.
"""
SECTIONS: tuple[tuple[type, str], ...] = (
    (Plan, "What is learned, and how it is looked at"),
    (Material, "Pictures and words"),
    (Learning, "How it is learned"),
    (Objective, "What a step is asked"),
    (Prior, "What stays as the base has it"),
    (Judging, "What makes a checkpoint good, and when it is enough"),
)
ORDER = "order"
"""The key of the block that says which order a file was exported from."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Which order a plan was exported from, and what else decided its bytes: how its numbers were summed, and its departures."""

    id: str
    name: str
    made: str
    """Its day, as the files' headers have it."""
    plan: str
    """SHA-256 of the plan with its pictures called by their hashes."""
    captions: str
    """SHA-256 of what its pictures say."""
    pictures: tuple[str, ...]
    """Place and SHA-256 of every picture that it used, stripped as it was kept; and the box around its face, where it was cut
    around one."""
    fit: Fit | None = None
    """How it was run; None where it was not yet, or where it changed machines and no one machine gives those bytes again."""
    departures: tuple[Departure, ...] = ()
    """Where its run left the plan: run again, it leaves it there too."""


OF_PICTURES = ("held_out", "repeats")
"""Fields that name pictures; each of `concepts` names its own."""


def written(plan: Plan, *, called: Mapping[str, str] | None = None, origin: Origin | None = None) -> str:
    """The file of a plan. `called` names pictures, by their ids, as files that last longer than those do."""
    known = {field.name: field for field in knobs(Plan)}
    values = _plain(renamed(plan, called or {}))
    parts = [HEAD, _drawing(plan)]
    for title, names in sections():
        parts.append(f"\n# ---- {title} ----\n")
        parts += [f"\n{_comment(known[name])}{_entry(name, values[name])}" for name in names]
    if origin is not None:
        parts.append(f"\n{_wrapped(ORIGIN)}{_entry(ORDER, _as_yaml(asdict(origin)))}")
    return "".join(parts)


def _drawing(plan: Plan) -> str:
    """What its prompts, seeds, checkpoints and scales cost, for whoever is about to change them."""
    whole, share = drawn(plan).whole, round(100 * drawing_share(plan))
    return _wrapped(
        f"It draws at most {whole} pictures, each in the time of about {picture_in_steps(plan):.3g} steps: {share} % of the time "
        "of learning and drawing, by checkpoint_steps, prompts with their seeds, preview_steps and scales."
    )


def renamed(plan: Plan, called: Mapping[str, str]) -> Plan:
    """The plan with its pictures called otherwise, wherever it names them."""

    def named(ids: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(called.get(id_, id_) for id_ in ids)

    concepts = tuple(replace(concept, pictures=named(concept.pictures)) for concept in plan.concepts)
    return replace(plan, held_out=named(plan.held_out), repeats=named(plan.repeats), concepts=concepts)


ORIGIN = (
    "The order that this plan was exported from. While plan, pictures and captions are the same, a training by this file is "
    "that order again: it is run by the same fit and departs where that one did, and on a CPU with the same versions of the "
    "libraries it gives the same files. Anything else is an order of its own. Where fit is null, that order was not run yet or "
    "changed machines: its bytes cannot be had again."
)


def sections() -> Iterator[tuple[str, list[str]]]:
    """The fields in the order of a file, under headings. A field of a part of the plan that is not listed here goes last."""
    left = [field.name for field in fields(Plan)]
    for kind, title in SECTIONS:
        own = [name for name in kind.__annotations__ if name in left]
        left = [name for name in left if name not in own]
        yield title, own
    if left:
        yield "More", left


def _plain(plan: Plan) -> dict[str, Any]:
    return {name: _as_yaml(value) for name, value in asdict(plan).items()}


def _as_yaml(value: Any) -> Any:  # noqa: ANN401 -- a field's value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple | list):
        return [_as_yaml(each) for each in value]
    return {k: _as_yaml(v) for k, v in value.items()} if isinstance(value, dict) else value


def _comment(field: Field) -> str:
    knob, size = field.knob, bounds(field.knob)
    what = "length " if field.type is str or get_origin(field.type) is tuple else ""
    facts = [
        knob.unit and f"in {knob.unit}",
        size and f"{what}{size}",
        choices(field),
        knob.only and f"{knob.only} models only",
    ]
    told = "; ".join(fact for fact in facts if fact)
    lines = _wrapped(f"{knob.meaning}." + (f" ({told})" if told else ""))
    lines += _wrapped(f"Change it: {knob.change}.", "#   ") if knob.change else ""
    return lines + (_wrapped(f"Source: {knob.source}.", "#   ") if knob.source else "")


def choices(field: Field) -> str:
    """The values that a field can have, where they can be counted."""
    values = (
        [value.value for value in field.type] if isinstance(field.type, type) and issubclass(field.type, Enum) else []
    )
    values += [value for value in getattr(field.type, "__args__", ()) if isinstance(value, str)]
    return f"one of {', '.join(values)}" if values else ""


def _wrapped(text: str, start: str = "# ") -> str:
    follow = "#" + " " * (len(start) + 1)
    return textwrap.fill(text, WIDTH, initial_indent=start, subsequent_indent=follow, break_on_hyphens=False) + "\n"


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]  # PyYAML ships no types
    """Never anchors: a file of ours holds no aliases."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401, ARG002 -- PyYAML's signature
        return True


def _entry(name: str, value: Any) -> str:  # noqa: ANN401 -- plain values
    """Numbers side by side, texts and tables one below the other."""
    texts = isinstance(value, dict) or (isinstance(value, list) and value and isinstance(value[0], str))
    side_by_side = isinstance(value, list) and not texts
    text: str = yaml.dump(
        {name: value},
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=None if side_by_side else False,
        width=WIDTH,
    )
    return text
