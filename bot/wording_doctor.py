"""What the dataset doctor says on a plan card, and what can be answered: part of the plan card's words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bot.wording import escape, listed, when
from storage.doctor import can_return, findings_of
from storage.domain.doctor import worth_dropping
from storage.speech import Sentence, _, later, ngettext
from storage.tables import Picture
from storage.words_doctor import examined_words, finding_words

MOST_LINES = 6
MOST_CHOICES = 25
"""Of one select, by Discord."""
LABEL_LIMIT = 100
"""Characters of a choice and of what stands under it, by Discord."""

ASIDE_PLACEHOLDER = later("Leave pictures out, or bring them back")
NOTHING_CHANGED = later("Nothing changed: those pictures are as you wanted them already.")
ACCEPTED = later("All right: I keep them as they are and say no more about it.")


def examined_lines(rows: Sequence[Picture]) -> list[str]:
    """What was found on the pictures that are used, a line each, and that it is only a proposal."""
    ill = [p for p in rows if p.state == "kept" and findings_of(p)]
    if not ill:
        return []
    lines = [f"- {examined_words(escape(p.source_name, 60), findings_of(p))}" for p in ill]
    drop = sum(worth_dropping(findings_of(p)) for p in ill)
    advice = ngettext(
        "I would leave out {count} picture of these; it is up to you, and what you do not change is used.",
        "I would leave out {count} pictures of these; it is up to you, and what you do not change is used.",
        drop,
    )
    keep = _("I would keep them, or send better ones; it is up to you, and what you do not change is used.")
    return [*listed(lines, MOST_LINES), advice if drop else keep]


def choices_of(rows: Sequence[Picture]) -> list[tuple[str, str, str]]:
    """(value, label, description) of everything that can be left out or brought back; the doubtful ones first."""
    back = [
        (f"in{p.position}", _plain(_("Bring back {name}", name=p.source_name)), _("It is used, whatever I found"))
        for p in rows
        if can_return(p)
    ]
    used = sorted((p for p in rows if p.state == "kept"), key=lambda p: not findings_of(p))
    out = [(f"out{p.position}", _plain(_("Leave out {name}", name=p.source_name)), _plain(_why(p))) for p in used]
    return [*back, *out][:MOST_CHOICES]


def _why(picture: Picture) -> str:
    found = findings_of(picture)
    return _("It {what}", what=finding_words(found[0])) if found else _("I found nothing wrong with it")


def _plain(text: str) -> str:
    return text if len(text) <= LABEL_LIMIT else text[: LABEL_LIMIT - 1] + "…"


def changed(out: int, back: int) -> str:
    """What the owner's choice did."""
    left = ngettext("{count} picture left out", "{count} pictures left out", out)
    brought = ngettext("{count} picture brought back", "{count} pictures brought back", back)
    if not (out or back):
        return NOTHING_CHANGED()
    both = _("{first} and {second}", first=left, second=brought)
    return _("Done: {what}. The plan above is made anew.", what=both if out and back else left if out else brought)


_ANSWERS: dict[str, Sentence] = {
    "go": later("You said to train as it is."),
    "drop": later("What I proposed to leave out is left out, as you said."),
}


def checkup_text(lines: Sequence[str], *, answer_by: datetime | None, answer: str, captioned: int = 0) -> str:
    """What the look at all pictures found, and until when training waits; `lines` are safe already.

    What a captioner wrote of `captioned` pictures is for their owner alone: everybody reads a thread.
    """
    begin = [_("Before the first step I looked at your pictures together:")] if lines else []
    end = _ANSWERS[answer]() if answer in _ANSWERS else ""
    if not end and answer_by is not None:
        end = _("Training waits for your word until {when}, then it goes on as it is.", when=when(answer_by))
    said_of = [wrote_captions(captioned, asks=not answer and answer_by is not None)] if captioned else []
    return "\n".join([*begin, *(f"- {line}" for line in listed(lines, 12)), *said_of, *([end] if end else [])])


def wrote_captions(count: int, *, asks: bool) -> str:
    """A captioner said what pictures show; `asks` while it can be corrected."""
    wrote = ngettext(
        "I wrote captions for {count} picture that had none.",
        "I wrote captions for {count} pictures that had none.",
        count,
    )
    look = _("Are they right? **Captions** shows them to their owner alone, and takes corrections.")
    return f"{wrote} {look}" if asks else wrote


GOING_ON = later("All right, training goes on.")


def going_on_without(count: int) -> str:
    """The owner left pictures out before the first step."""
    return ngettext(
        "{count} picture left out; training goes on with the others, on a plan made anew.",
        "{count} pictures left out; training goes on with the others, on a plan made anew.",
        count,
    )


GO_ON = later("Go on as it is")


def leave_out_label(count: int) -> str:
    """The button that takes what was proposed."""
    return ngettext("Leave out {count} picture and go on", "Leave out {count} pictures and go on", count)
