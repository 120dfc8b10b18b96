"""What was learned from votes, in tables for a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise

from storage.domain.choice import PSEUDO_VOTES
from storage.domain.learned import Evidence, Learned
from storage.domain.lesson import Dose
from storage.domain.orders import SubjectType
from storage.domain.taste import Taste, usual_taste
from storage.tables import Revision

LAST = 10
"""Revisions that are shown; `--json` has them all."""
WIDTH = 80
NOTHING = "Nothing has been learned yet: no vote has closed."


def table(*, revisions: Sequence[Revision], values: Learned, found: Evidence, ballots: int, frozen: bool) -> str:
    """All of `lorasmith outcomes`: what holds, from how much, and how it changed."""
    said = [_state(revisions, ballots, frozen=frozen)]
    said.append("\n".join(_tastes(values, found)))
    if found.doses or values.doses:
        said.append("\n".join(_doses(values, found)))
    if revisions:
        said.append("\n".join(_history(revisions)))
    return "\n\n".join(said)


def _state(revisions: Sequence[Revision], ballots: int, *, frozen: bool) -> str:
    lines = [f"{_ballots(ballots)} {'counts' if ballots == 1 else 'count'}."]
    if revisions:
        lines.append(f"In use: revision {revisions[-1].number}, of {instant(revisions[-1].made_at)}.")
    elif not ballots:
        lines = [NOTHING]
    if revisions and revisions[-1].since is not None:
        lines.append(f"Only ballots closed after {instant(revisions[-1].since)} count (reset).")
    lines.append(
        "Learning is frozen: what is in use stays as it is." if frozen else "Every ballot that closes is learned from."
    )
    lines.append(
        f"In every choice, all that was measured counts as {PSEUDO_VOTES:g} vote{'' if PSEUDO_VOTES == 1 else 's'}."
    )
    return "\n".join(lines)


def _tastes(values: Learned, found: Evidence) -> Iterator[str]:
    yield "What makes a checkpoint good"
    yield f"  {'subject':<12}{'likeness':>15}{'variety':>15}{'leakage':>15}{'from ballots':>16}"
    for kind in SubjectType:
        usual = usual_taste(kind)
        now = values.tastes.get(kind, usual)
        cells = "".join(f"{_moved(a, b):>15}" for a, b in zip(_numbers(usual), _numbers(now), strict=True))
        yield f"  {kind.value:<12}{cells}{found.tastes[kind]:>16}"
    yield "  (likeness: its share against following the prompt; variety: its power;"
    yield "  leakage: what is lost where others change as much as by another seed)"


def _doses(values: Learned, found: Evidence) -> Iterator[str]:
    yield "Recipes, as times the house recipe's own"
    yield f"  {'base':<18}{'subject':<12}{'steps':>12}{'learning rate':>16}{'from ballots':>16}"
    for base, kind in sorted({*values.doses, *found.doses}):
        dose = values.doses.get((base, kind), Dose())
        yield (
            f"  {base[:17]:<18}{kind.value:<12}{dose.steps:>12.2f}{dose.learning_rate:>16.2f}"
            f"{found.doses[base, kind]:>16}"
        )


def _history(revisions: Sequence[Revision]) -> Iterator[str]:
    yield "How it changed" + (f" (the last {LAST} of {len(revisions)})" if len(revisions) > LAST else "")
    yield f"  {'revision':>8}  {'when':<20}{'ballots':>8}  what"
    every = [None, *revisions]
    for before, row in [*pairwise(every)][-LAST:]:
        if row is not None:
            what = "; ".join(changes_of(before, row)) or "nothing"
            yield from _wrapped(f"  {row.number:>8}  {instant(row.made_at):<20}{row.outcomes:>8}  ", what)


def _wrapped(head: str, what: str) -> Iterator[str]:
    room, line = WIDTH - len(head), ""
    for word in what.split():
        if line and len(line) + len(word) + 1 > room:
            yield head + line
            head, line = " " * len(head), ""
        line = f"{line} {word}".strip()
    yield head + line


def changes_of(before: Revision | None, after: Revision) -> list[str]:
    """What a revision changed, each as "object: likeness 0.60 to 0.57"."""
    if after.because == "reset":
        return ["reset: everything as the program comes with it"]
    old = Learned.from_json(before.values_json) if before else Learned()
    return [*changes(old, Learned.from_json(after.values_json))]


def changes(old: Learned, new: Learned) -> Iterator[str]:
    """From what to what."""
    for kind in SubjectType:
        usual = usual_taste(kind)
        was, now = (each.tastes.get(kind, usual) for each in (old, new))
        for name in ("likeness", "variety", "leakage"):
            if getattr(was, name) != getattr(now, name):
                yield f"{kind.value}: {name} {getattr(was, name):.2f} to {getattr(now, name):.2f}"
    for base, kind in sorted({*old.doses, *new.doses}):
        before, after = (each.doses.get((base, kind), Dose()) for each in (old, new))
        if before.steps != after.steps:
            yield f"{base} {kind.value}: steps x {before.steps:.2f} to x {after.steps:.2f}"
        if before.learning_rate != after.learning_rate:
            yield f"{base} {kind.value}: learning rate x {before.learning_rate:.2f} to x {after.learning_rate:.2f}"


def instant(at: datetime) -> str:
    """To the minute, in UTC."""
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _numbers(taste: Taste) -> tuple[float, float, float]:
    return taste.likeness, taste.variety, taste.leakage


def _moved(was: float, now: float) -> str:
    return f"{now:.2f}" if was == now else f"{was:.2f} to {now:.2f}"


def _ballots(count: int) -> str:
    return "1 closed ballot" if count == 1 else f"{count} closed ballots"
