"""What the dataset doctor says on a plan card, and what can be answered: part of the plan card's words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bot.wording import escape, listed, pictures, when
from storage.doctor import can_return, findings_of
from storage.domain.doctor import worth_dropping
from storage.tables import Picture
from storage.words_doctor import examined_words, finding_words

MOST_LINES = 6
MOST_CHOICES = 25
"""Of one select, by Discord."""
LABEL_LIMIT = 100
"""Characters of a choice and of what stands under it, by Discord."""

ASIDE_PLACEHOLDER = "Leave pictures out, or bring them back"
NOTHING_CHANGED = "Nothing changed: those pictures are as you wanted them already."
ACCEPTED = "All right: I keep them as they are and say no more about it."


def examined_lines(rows: Sequence[Picture]) -> list[str]:
    """What was found on the pictures that are used, a line each, and that it is only a proposal."""
    ill = [p for p in rows if p.state == "kept" and findings_of(p)]
    if not ill:
        return []
    lines = [f"- {examined_words(escape(p.source_name, 60), findings_of(p))}" for p in ill]
    drop = sum(worth_dropping(findings_of(p)) for p in ill)
    advice = f"I would leave out {pictures(drop)} of these; " if drop else "I would keep them, or send better ones; "
    return [*listed(lines, MOST_LINES), f"{advice}it is up to you, and what you do not change is used."]


def choices_of(rows: Sequence[Picture]) -> list[tuple[str, str, str]]:
    """(value, label, description) of everything that can be left out or brought back; the doubtful ones first."""
    back = [
        (f"in{p.position}", _plain(f"Bring back {p.source_name}"), "It is used, whatever I found")
        for p in rows
        if can_return(p)
    ]
    used = sorted((p for p in rows if p.state == "kept"), key=lambda p: not findings_of(p))
    out = [(f"out{p.position}", _plain(f"Leave out {p.source_name}"), _plain(_why(p))) for p in used]
    return [*back, *out][:MOST_CHOICES]


def _why(picture: Picture) -> str:
    found = findings_of(picture)
    return f"It {finding_words(found[0])}" if found else "I found nothing wrong with it"


def _plain(text: str) -> str:
    return text if len(text) <= LABEL_LIMIT else text[: LABEL_LIMIT - 1] + "…"


def changed(out: int, back: int) -> str:
    """What the owner's choice did."""
    parts = [f"{pictures(out)} left out"] if out else []
    parts += [f"{pictures(back)} brought back"] if back else []
    return f"Done: {' and '.join(parts)}. The plan above is made anew." if parts else NOTHING_CHANGED


def checkup_text(lines: Sequence[str], *, answer_by: datetime | None, answer: str, captioned: int = 0) -> str:
    """What the look at all pictures found, and until when training waits; `lines` are safe already.

    What a captioner wrote of `captioned` pictures is for their owner alone: everybody reads a thread.
    """
    begin = ["Before the first step I looked at your pictures together:"] if lines else []
    said = {"go": "You said to train as it is.", "drop": "What I proposed to leave out is left out, as you said."}
    end = said.get(answer, "")
    if not end and answer_by is not None:
        end = f"Training waits for your word until {when(answer_by)}, then it goes on as it is."
    said_of = [wrote_captions(captioned, asks=not answer and answer_by is not None)] if captioned else []
    return "\n".join([*begin, *(f"- {line}" for line in listed(lines, 12)), *said_of, *([end] if end else [])])


def wrote_captions(count: int, *, asks: bool) -> str:
    """A captioner said what pictures show; `asks` while it can be corrected."""
    look = " Are they right? **Captions** shows them to their owner alone, and takes corrections." if asks else ""
    return f"I wrote captions for {pictures(count)} that had none.{look}"


GOING_ON = "All right, training goes on."


def going_on_without(count: int) -> str:
    """The owner left pictures out before the first step."""
    return f"{pictures(count)} left out; training goes on with the others, on a plan made anew."
