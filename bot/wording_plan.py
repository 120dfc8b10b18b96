"""The plan card's words: what was taken and refused, what will be learned and why so, when, and how the file comes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.wording import EMBED_LIMIT, clip, escape, in_line, listed, pictures, pictures_refused, when
from storage.domain.bases import BASES
from storage.domain.orders import MIN_PICTURES, SubjectType
from storage.domain.plan import Plan, Validation
from storage.words import duration, size, taught_sentences

SUBJECT_WORDS: dict[SubjectType, str] = {
    SubjectType.PERSON: "a person",
    SubjectType.STYLE: "a style",
    SubjectType.OBJECT: "an object",
    SubjectType.CHARACTER: "a character or pet",
}
"""What members read for the subject types."""

ABOUT_TITLE = "What is it?"
NAME_LABEL = "What to call it"
NAME_ABOUT = "Left empty, it is called by its trigger word."
CLASS_WORD_LABEL = "One plain word for what it is"
"""The form that asks what pictures of a message did not tell."""


def class_word_about(standard: str) -> str:
    """What the class word is for, and what is taken without one."""
    return f"Such as dog, teapot or watercolour: the word that it is learned as. Left empty: {standard}."


STANDARD_CONSENT = (
    "I have the consent of the person in these pictures to make an image model of them, "
    "and I will not use it to deceive or harm."
)
RIGHTS = (
    "Send only pictures that you may use for this. For pictures of a person you need that person's consent; you will be asked "
    "before the start. They are kept for this order alone and deleted afterwards."
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
    hub: str = ""
    """Where on a model hub the finished LoRA is put too; empty nowhere."""
    hub_public: bool = False


def title(card: PlanCard) -> str:
    """The card's heading."""
    state = {"draft": "the plan", "started": "started", "cancelled": "cancelled", "expired": "expired"}[card.state]
    return f"{escape(card.name, 60)} – {state}"


def text(card: PlanCard) -> str:
    """The card's body, in the limits of an embed."""
    if card.state == "cancelled":
        return "This order was cancelled; its pictures are deleted."
    if card.state == "expired":
        return (
            "This draft was not started in time, so it has expired; its pictures are deleted. /train begins a new one."
        )
    parts = [_what(card), _pictures(card), *_recipe(card), *_when(card), _delivery(card), _shared(card), *_next(card)]
    return clip("\n\n".join(part for part in parts if part), EMBED_LIMIT)


def _shared(card: PlanCard) -> str:
    """Said before Start, so that nobody's LoRA goes anywhere unasked."""
    if not card.hub:
        return ""
    seen = "for everybody to see" if card.hub_public else "in private"
    return f"The finished LoRA and what it draws are also put on a model hub ({escape(card.hub)}), {seen}; your pictures never are."


def _what(card: PlanCard) -> str:
    return (
        f"**What:** {SUBJECT_WORDS[card.subject_type]} ({escape(card.class_word, 40)}). "
        f"Its new word, the trigger, is **{card.trigger}**.\n**Base model:** {_base(card.base)}"
    )


def _base(name: str) -> str:
    """Under which terms the LoRA will be is said before Start where they forbid what people may have in mind."""
    if name == "pocket":
        return "the pocket, a tiny demonstration model that learns drawings in minutes."
    if name not in BASES:
        return f"{escape(name, 90)}."
    licence = BASES[name].licence
    terms = f" **Not for commercial use**, and this LoRA neither: {licence.name}, <{licence.url}>."
    return f"{BASES[name].title}.{terms if licence.non_commercial else ''}"


def _pictures(card: PlanCard) -> str:
    lines = [
        f"**Pictures:** {pictures(card.kept)} taken" + (f", {len(card.refused)} not used:" if card.refused else ".")
    ]
    lines += [f"- {line}" for line in listed(pictures_refused([(r.name, r.fault, r.detail) for r in card.refused]), 12)]
    lines += ["**Looked at closely:**", *card.examined] if card.examined and card.state == "draft" else []
    lines += [card.captions] if card.captions else []
    if card.fetching:
        lines.append(f"{pictures(card.fetching)} still being looked at …")
    return "\n".join(lines)


def _recipe(card: PlanCard) -> list[str]:
    plan = card.plan
    if plan is None:
        return []
    checks = f"{len(plan.checkpoint_steps)} times on the way you see what it can draw, and people vote for the best."
    lines = [
        f"**Recipe:** {plan.steps} small steps of learning, because {_why(card)} {checks}",
        f"{_validation(plan)} Rank {plan.rank}, rate {plan.learning_rate:g} (`{plan.recipe}`).",
        *taught_sentences(plan),
    ]
    return ["\n".join(lines)]


def _why(card: PlanCard) -> str:
    kinds = {
        SubjectType.PERSON: "a face needs gentle learning",
        SubjectType.STYLE: "a style shows in every picture and is learned in fewer steps",
        SubjectType.OBJECT: "an object is learned a little faster than a face",
        SubjectType.CHARACTER: "a character has more to it than an object",
    }
    return f"{kinds[card.subject_type]} and {pictures(card.kept)} bear about so many before they are learned by heart."


def _validation(plan: Plan) -> str:
    aside = pictures(len(plan.held_out))
    return {
        Validation.NONE: "All pictures are learned from: with under 6 none can be kept aside as a check.",
        Validation.VETO: f"I keep {aside} aside to notice learning by heart.",
        Validation.FULL: f"I keep {aside} aside to measure what was really learned.",
    }[plan.validation]


def _when(card: PlanCard) -> list[str]:
    if card.training:
        return ["**When:** it is training now; its thread shows how far it is."]
    if card.prospect is None:
        return []
    ahead = card.prospect
    about = (
        duration(ahead.work_s)
        if ahead.measured
        else f"{duration(ahead.work_s)} (a guess: nothing was measured here yet)"
    )
    if card.state == "started":
        lines = [f"**When:** {in_line(ahead.place, ahead.wait_s)}. Training takes about {about}."]
    else:
        lines = [f"**When:** if you start now, {in_line(ahead.place, ahead.wait_s)}. Training takes about {about}."]
    lines.append(f"Then people vote for {duration(card.ballot_s)}; you can close the vote earlier.")
    if ahead.paused:
        lines.append("Training is paused by the people who run this bot: your order waits until it goes on.")
    elif not ahead.workers:
        lines.append("No machine is training at the moment: your order waits until one is back.")
    return ["\n".join(lines)]


def _delivery(card: PlanCard) -> str:
    about = f"about {size(card.file_bytes)}"
    return {
        "attach": f"**The file** ({about}) will be attached to a message.",
        "download": f"**The file** ({about}) is larger than this server's upload limit of {size(card.limit_bytes)}: you get a "
        "Download button that only you can use.",
        "compact": f"**The file** ({about}) is larger than this server's upload limit of {size(card.limit_bytes)}: a compact "
        "version that fits is attached, and I say what it loses.",
    }[card.way]


def _next(card: PlanCard) -> list[str]:
    if card.state == "started":
        return []
    lines: list[str] = []
    if card.plan is None and not card.fetching:
        missing = MIN_PICTURES - card.kept
        lines.append(f"{pictures(missing)} more needed before this can start: press **Add pictures**.")
    if card.expires_at is not None:
        lines.append(f"Nothing happens until you press Start. This draft waits until {when(card.expires_at)}.")
    return ["\n".join(lines)] if lines else []


def consent(line: str) -> str:
    """What the owner of an order for a person agrees to; `line` is the server's own, or empty."""
    said = escape(line, 600) if line else STANDARD_CONSENT
    return f"These are pictures of a person. Please read this and agree only if it is true:\n> {said}"


def started(thread_id: int | str | None, prospect: Prospect) -> str:
    """The short answer to Start."""
    where = f" Follow it in <#{int(thread_id)}>." if thread_id else ""
    paused = " Training is paused at the moment; it starts when that is over." if prospect.paused else ""
    return f"Started: {in_line(prospect.place, prospect.wait_s)}.{where}{paused}"
