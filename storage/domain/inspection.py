"""What a look at an installation finds: every remark says what is so and, where something is wrong, how to mend it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum


class Level(StrEnum):
    """How much a remark matters."""

    OK = "ok"
    NOTE = "note"
    """Nothing is wrong, and it is good to know: what was not looked at, what would be better."""
    WRONG = "wrong"
    """Something will not work until it is mended."""


@dataclass(frozen=True, kw_only=True)
class Remark:
    """One thing that was looked at."""

    level: Level
    about: str
    """One word or two: token, clock, disk."""
    says: str
    mend: str = ""
    """What to do; always there where the level is wrong."""


def ok(about: str, says: str) -> Remark:
    """Looked at and fine."""
    return Remark(level=Level.OK, about=about, says=says)


def note(about: str, says: str, mend: str = "") -> Remark:
    """Good to know."""
    return Remark(level=Level.NOTE, about=about, says=says, mend=mend)


def wrong(about: str, says: str, mend: str) -> Remark:
    """Has to be mended."""
    return Remark(level=Level.WRONG, about=about, says=says, mend=mend)


def to_json(remarks: Iterable[Remark]) -> str:
    """As one line, for another process or a monitor."""
    return json.dumps([asdict(remark) for remark in remarks])


def from_json(text: str) -> list[Remark]:
    """Raises `ValueError` (or its kin) where this is none of ours."""
    return [Remark(**{**row, "level": Level(row["level"])}) for row in json.loads(text)]


_MARKS = {Level.OK: "ok   ", Level.NOTE: "note ", Level.WRONG: "WRONG"}


def text(remarks: Sequence[Remark]) -> str:
    """For people: what is wrong at the end, where the eye is."""
    ranks = list(Level)
    lines = []
    for remark in sorted(remarks, key=lambda r: ranks.index(r.level)):
        lines.append(f"{_MARKS[remark.level]} {remark.about}: {remark.says}")
        if remark.mend:
            lines.append(f"      -> {remark.mend}")
    return "\n".join(lines)


def is_well(remarks: Iterable[Remark]) -> bool:
    """Whether nothing has to be mended."""
    return all(remark.level is not Level.WRONG for remark in remarks)
