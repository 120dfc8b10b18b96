"""The plan card's words: what was taken and refused, what will be learned and why so, when, and how the file comes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.wording import EMBED_LIMIT, clip, escape, in_line, listed, pictures_refused, when
from bot.wording_recipe import recipe_text
from storage.domain.bases import BASES
from storage.domain.orders import MIN_PICTURES, SubjectType
from storage.domain.plan import Plan
from storage.speech import Sentence, _, later, ngettext
from storage.words import duration, size

SUBJECT_WORDS: dict[SubjectType, Sentence] = {
    SubjectType.PERSON: later("a person"),
    SubjectType.STYLE: later("a style"),
    SubjectType.OBJECT: later("an object"),
    SubjectType.CHARACTER: later("a character or pet"),
}
"""What members read for the subject types."""


STANDARD_CONSENT = later(
    "I have the consent of the person in these pictures to make an image model of them, "
    "and I will not use it to deceive or harm."
)


@dataclass(frozen=True, kw_only=True)
class Refused:
    """One picture that is not used."""

    name: str
    fault: str
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Prospect:
    """When an order would be done, as far as can be said now."""

    place: int
    """In the queue, from 1."""
    wait_s: float
    """Until its first turn."""
    work_s: float
    """Of its own work on the GPU."""
    measured: bool
    """Whether the times come from orders that ran here, else from a first guess."""
    paused: bool = False
    workers: int = 1
    """Workers alive now that can train on this base."""


@dataclass(frozen=True, kw_only=True)
class PlanCard:
    """Everything that the card says."""

    name: str
    subject_type: SubjectType
    class_word: str
    trigger: str
    base: str
    kept: int
    refused: Sequence[Refused]
    fetching: int
    """Pictures that are still being looked at."""
    plan: Plan | None
    """None while there are too few pictures."""
    prospect: Prospect | None
    way: str
    """attach | download | compact."""
    file_bytes: int
    """Expected size of the LoRA."""
    limit_bytes: int
    """Upload limit of this server."""
    ballot_s: float
    expires_at: datetime | None
    """When the draft goes; None once started."""
    state: str = "draft"
    """draft | started | cancelled | expired."""
    examined: Sequence[str] = ()
    """What the dataset doctor says of the pictures that are used: `bot.wording_doctor`."""
    choices: Sequence[tuple[str, str, str]] = ()
    """What can be left out or brought back: (value, label, description)."""
    captions: str = ""
    """How many pictures have words of their own."""
    doubtful: bool = False
    """Whether anything was found that the owner has not accepted."""
    training: bool = False
    """Whether its first turn has begun."""
    full_run: bool = False
    """Whether its owner asked for every step."""
    hub: str = ""
    """Where on a model hub the finished LoRA is put too; empty nowhere."""
    hub_public: bool = False


_STATES = {
    "draft": later("the plan"),
    "started": later("started"),
    "cancelled": later("cancelled"),
    "expired": later("expired"),
}


def title(card: PlanCard) -> str:
    """The card's heading."""
    return _("{name} – {state}", name=escape(card.name, 60), state=_STATES[card.state]())


def text(card: PlanCard) -> str:
    """The card's body, in the limits of an embed."""
    if card.state == "cancelled":
        return _("This order was cancelled; its pictures are deleted.")
    if card.state == "expired":
        return _(
            "This draft was not started in time, so it has expired; its pictures are deleted. /train begins a new one."
        )
    parts = [_what(card), _pictures(card), _recipe(card), *_when(card), _delivery(card), _shared(card), *_next(card)]
    return clip("\n\n".join(part for part in parts if part), EMBED_LIMIT)


def _shared(card: PlanCard) -> str:
    """Said before Start, so that nobody's LoRA goes anywhere unasked."""
    if not card.hub:
        return ""
    return (_SHARED_OPENLY if card.hub_public else _SHARED_IN_PRIVATE)(place=escape(card.hub))


_SHARED_OPENLY = later(
    "The finished LoRA and what it draws are also put on a model hub ({place}), for everybody to see; your pictures never are."
)
_SHARED_IN_PRIVATE = later(
    "The finished LoRA and what it draws are also put on a model hub ({place}), in private; your pictures never are."
)


def _what(card: PlanCard) -> str:
    what = _(
        "**What:** {kind} ({word}). Its new word, the trigger, is **{trigger}**.",
        kind=SUBJECT_WORDS[card.subject_type](),
        word=escape(card.class_word, 40),
        trigger=card.trigger,
    )
    return what + "\n" + _("**Base model:** {base}", base=_base(card.base))


def _base(name: str) -> str:
    """Under which terms the LoRA will be is said before Start where they forbid what people may have in mind."""
    if name == "pocket":
        return _("the pocket, a tiny demonstration model that learns drawings in minutes.")
    if name not in BASES:
        return _("{base}.", base=escape(name, 90))
    base = BASES[name]
    if not base.licence.non_commercial:
        return _("{base}.", base=base.title)
    return _(
        "{base}. **Not for commercial use**, and this LoRA neither: {licence}, {link}.",
        base=base.title,
        licence=base.licence.name,
        link=f"<{base.licence.url}>",
    )


def _pictures(card: PlanCard) -> str:
    lines = [_counted(card.kept, len(card.refused))]
    lines += [f"- {line}" for line in listed(pictures_refused([(r.name, r.fault, r.detail) for r in card.refused]), 12)]
    lines += [_("**Looked at closely:**"), *card.examined] if card.examined and card.state == "draft" else []
    lines += [card.captions] if card.captions else []
    if card.fetching:
        lines.append(
            ngettext(
                "{count} picture still being looked at …", "{count} pictures still being looked at …", card.fetching
            )
        )
    return "\n".join(lines)


def _counted(kept: int, refused: int) -> str:
    if not refused:
        return ngettext("**Pictures:** {count} picture taken.", "**Pictures:** {count} pictures taken.", kept)
    return ngettext(
        "**Pictures:** {count} picture taken, {others} not used:",
        "**Pictures:** {count} pictures taken, {others} not used:",
        kept,
        others=refused,
    )


def _recipe(card: PlanCard) -> str:
    if card.plan is None:
        return ""
    return recipe_text(
        card.plan, kind=card.subject_type, kept=card.kept, full_run=card.full_run, draft=card.state == "draft"
    )


def _when(card: PlanCard) -> list[str]:
    if card.training:
        return [_("**When:** it is training now; its thread shows how far it is.")]
    if card.prospect is None:
        return []
    ahead = card.prospect
    about = duration(ahead.work_s)
    if not ahead.measured:
        about = _("{time} (a guess: nothing was measured here yet)", time=about)
    said = _WHEN_STARTED if card.state == "started" else _WHEN_DRAFT
    lines = [said(place=in_line(ahead.place, ahead.wait_s), time=about)]
    lines.append(_("Then people vote for {time}; you can close the vote earlier.", time=duration(card.ballot_s)))
    if ahead.paused:
        lines.append(_("Training is paused by the people who run this bot: your order waits until it goes on."))
    elif not ahead.workers:
        lines.append(_("No machine is training at the moment: your order waits until one is back."))
    return ["\n".join(lines)]


_WHEN_STARTED = later("**When:** {place}. Training takes about {time}.")
_WHEN_DRAFT = later("**When:** if you start now, {place}. Training takes about {time}.")
_DELIVERY = {
    "attach": later("**The file** (about {size}) will be attached to a message."),
    "download": later(
        "**The file** (about {size}) is larger than this server's upload limit of {limit}: you get a "
        "Download button that only you can use."
    ),
    "compact": later(
        "**The file** (about {size}) is larger than this server's upload limit of {limit}: a compact "
        "version that fits is attached, and I say what it loses."
    ),
}


def _delivery(card: PlanCard) -> str:
    return _DELIVERY[card.way](size=size(card.file_bytes), limit=size(card.limit_bytes))


def _next(card: PlanCard) -> list[str]:
    if card.state == "started":
        return []
    lines: list[str] = []
    if card.plan is None and not card.fetching:
        lines.append(
            ngettext(
                "{count} picture more needed before this can start: press **Add pictures**.",
                "{count} pictures more needed before this can start: press **Add pictures**.",
                MIN_PICTURES - card.kept,
            )
        )
    if card.expires_at is not None:
        lines.append(
            _("Nothing happens until you press Start. This draft waits until {when}.", when=when(card.expires_at))
        )
    return ["\n".join(lines)] if lines else []


def consent(line: str) -> str:
    """What the owner of an order for a person agrees to; `line` is the server's own, or empty."""
    said = escape(line, 600) if line else STANDARD_CONSENT()
    return _("These are pictures of a person. Please read this and agree only if it is true:") + f"\n> {said}"


def started(thread_id: int | str | None, prospect: Prospect) -> str:
    """The short answer to Start."""
    parts = [_("Started: {place}.", place=in_line(prospect.place, prospect.wait_s))]
    parts += [_("Follow it in {thread}.", thread=f"<#{int(thread_id)}>")] if thread_id else []
    parts += [_("Training is paused at the moment; it starts when that is over.")] if prospect.paused else []
    return " ".join(parts)
