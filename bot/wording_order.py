"""From Start to delivery in words: progress, grids, the ballot, the choice, the card, and failures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.wording import clip, escape, fault_words, mention, when
from storage.domain.choice import Choice
from storage.domain.errors import Fault
from storage.domain.measurement import Measurement, ScaleChoice
from storage.domain.signs import Sign
from storage.usage import Use
from storage.words import (
    because_sentence,
    duration,
    flag_sentences,
    measurement_line,
    scale_sentence,
    size,
    votes_words,
)
from storage.words_signs import sign_sentence

STALL_S = 120
"""After so long without a word from the GPU the member is told."""
VOTE_EMOJI = "\N{THUMBS UP SIGN}"

_DOING: dict[str, str] = {
    "loading": "loading the base model",
    "caching": "looking at the pictures",
    "training": "learning",
    "exporting": "writing the file",
    "previewing": "drawing previews",
    "measuring": "measuring",
    "sweeping": "trying scales",
    "packing": "packing the files",
    "stalled": "waiting for the machine",
}


def doing_words(stage: str) -> str:
    """What the GPU is doing, by the stage that the worker writes."""
    return _DOING.get(stage, stage)


def how_far(stage: str, step: int, steps: int) -> str:
    """Only learning goes in steps; the rest is counted in pictures, scales and files."""
    return f"step {step} of {steps}" if stage == "training" else f"{step} of {steps}"


def bar(share: float, width: int = 16) -> str:
    """A bar of blocks for a share in [0, 1]."""
    full = round(min(max(share, 0.0), 1.0) * width)
    return "▰" * full + "▱" * (width - full)


def waiting(name: str, place: str) -> str:
    """The status message of a queued order; `place` from `wording.in_line`."""
    return f"**{escape(name)}** is {place}."


def progress(
    *,
    name: str,
    doing: str,
    step: int,
    steps: int,
    seconds_left: float | None,
    loss_ratio: float | None,
    silent_s: float = 0.0,
    signs: Sequence[Sign] = (),
) -> str:
    """The status message of an order in training: what is going on, how far, how long still, how well."""
    lines = [f"**{escape(name)}**: {doing_words(doing)}"]
    if steps:
        lines.append(f"{bar(step / steps)} {how_far(doing, step, steps)}")
    if seconds_left is not None and silent_s < STALL_S:
        lines.append(f"about {duration(seconds_left)} left")
    if loss_ratio is not None:
        better = "it is learning" if loss_ratio < 1 else "nothing learned yet"
        lines.append(f"error on the training pictures at {100 * loss_ratio:.0f} % of the base model's: {better}")
    lines += [careful(sign) for sign in signs]
    if silent_s >= STALL_S:
        lines.append(
            f"I have heard nothing from the machine for {duration(silent_s)}. The order is safe and goes on where it was."
        )
    return "\n".join(lines)


def careful(sign: Sign) -> str:
    """A warning sign of the training."""
    return f"Careful. {sign_sentence(sign)}"


def trained(name: str) -> str:
    """The status message once the last checkpoint is there."""
    return f"**{escape(name)}**: training is done, the vote is open."


def grid_caption(
    *, step: int, steps: int, number: int, of: int, measurement: Measurement | None, signs: Sequence[Sign] = ()
) -> str:
    """The text over a grid: which checkpoint, what was measured, what is odd since the one before, how to vote."""
    lines = [
        f"**Checkpoint {number} of {of}** (step {step} of {steps}). Left: the base model without the LoRA; right of it: with it.",
        measurement_line(measurement),
        *flag_sentences(measurement),
        *map(careful, signs),
        f"React with {VOTE_EMOJI} if this is a good one; you may vote for several.",
    ]
    return clip("\n".join(lines))


def grid_alt(*, step: int, name: str) -> str:
    """The grid's description for people who do not see it."""
    return (
        f"Grid of previews at step {step} of {escape(name, 60)}: a row per prompt, the first column without the LoRA."
    )


@dataclass(frozen=True, kw_only=True)
class SheetRow:
    """One checkpoint on the ballot sheet."""

    emoji: str
    step: int
    votes: int
    measurement: Measurement | None


def sheet(*, name: str, rows: Sequence[SheetRow], deadline: datetime | None) -> str:
    """The side-by-side ballot: which emoji is which checkpoint, until when (None: closed), what decides."""
    lines = [
        f"**Which {escape(name)} is best?** React with its number, or under its grid; each person counts once per checkpoint."
    ]
    for row in rows:
        broken = f" {' '.join(flag_sentences(row.measurement))}" if row.measurement and row.measurement.flags else ""
        lines.append(
            f"{row.emoji} step {row.step}: {votes_words(row.votes)}. {measurement_line(row.measurement)}{broken}"
        )
    lines.append(
        f"Open until {when(deadline)}. Most votes win; where nobody votes, the measured best is taken."
        if deadline
        else "The vote is closed."
    )
    return clip("\n".join(lines))


def closed(*, name: str, choice: Choice) -> str:
    """What the ballot decided, why, and what happens next."""
    lines = [
        f"**{escape(name)}**: the vote is closed, **step {choice.step}** it is. {because_sentence(choice)}",
        "Its best scale is measured next, then the file is handed over.",
    ]
    return clip("\n".join(lines))


@dataclass(frozen=True, kw_only=True)
class DeliveryCard:
    """What the card of a delivered order says."""

    owner_id: str | None
    """Mentioned; None where the owner does not want that."""
    name: str
    trigger: str
    choice: Choice
    scale: ScaleChoice | None
    measurement: Measurement | None
    prompts: Sequence[str]
    """Prompts to try."""
    how: Sequence[Use]
    """From `storage.usage.how_to_use`."""
    way: str
    file_bytes: int
    compact_loss: float | None = None
    """Share of the LoRA's effect that the compact version loses."""
    licence: str = ""
    shared: str = ""
    """Its address on the operator's model hub."""


def card(data: DeliveryCard) -> str:
    """The card: the file, why this one, at which scale, how to use it."""
    hello = f"{mention(data.owner_id)}, " if data.owner_id else ""
    lines = [
        f"{hello}**{escape(data.name)}** is ready. Trigger word: **{data.trigger}**",
        f"Step {data.choice.step}. {because_sentence(data.choice)}",
        measurement_line(data.measurement),
        scale_sentence(data.scale) if data.scale else "",
        _handed(data),
        "Try: " + "; ".join(f"`{escape_code(p)}`" for p in data.prompts) if data.prompts else "",
        *(f"- {use.tool}: {use.say}" + (f" `{escape_code(use.code)}`" if use.code else "") for use in data.how),
        f"Licence: {data.licence}." if data.licence else "",
        f"On the model hub: <{data.shared}>" if data.shared else "",
    ]
    return clip("\n".join(line for line in lines if line))


def escape_code(text: str) -> str:
    """A text of ours with a member's words in it, for between two back-ticks."""
    return text.replace("`", "'")


def _handed(data: DeliveryCard) -> str:
    about = size(data.file_bytes)
    if data.way == "download":
        return f"The file ({about}) is too large to attach here: press Download, the link is for you only."
    if data.way == "compact":
        loss = (
            f" It loses about {100 * data.compact_loss:.1f} % of the effect." if data.compact_loss is not None else ""
        )
        return f"The file ({about}) is too large to attach here, so this is a compact version.{loss}"
    return f"The file ({about}) and its notes are attached."


def failure(*, name: str, fault: str | None, reason: str, retry: bool) -> str:
    """A failed order: whose fault, what happened, what to do."""
    advice = {
        Fault.PICTURES: "Start a new order with other pictures.",
        Fault.MACHINE: "Press Retry; your pictures are kept for it.",
        Fault.PROGRAM: "Press Retry once; if it fails again, tell the people who run this bot.",
    }
    lines = [
        f"**{escape(name)}** could not be finished. The cause is {fault_words(fault)}.",
        f"What happened: {escape(reason, 300)}" if reason else "",
        advice[Fault(fault) if fault else Fault.PROGRAM] if retry else "",
    ]
    return clip("\n".join(line for line in lines if line))


def given_up(name: str) -> str:
    """A failed order that was not tried again."""
    return f"**{escape(name)}** is closed: it could not be finished, and its pictures are deleted. /train begins a new one."


def once_more(*, name: str, trigger: str) -> str:
    """The delivered file again, for its owner alone."""
    return f"Here is the file of **{escape(name)}**. Trigger word: **{trigger}**."


def taken(*, name: str, step: int, trigger: str, goes_on: bool) -> str:
    """The owner takes a checkpoint's file, on the way or once the order has ended."""
    more = " The order goes on as before." if goes_on else ""
    return f"**{escape(name)}** as it was at step {step}. Trigger word: **{trigger}**.{more}"


NO_PICTURE = "Its picture cannot be shown here; what was measured still tells something, and it can be voted for."
FILE_GONE = "That file is no longer kept: checkpoints that were not chosen are deleted some time after the end."
CLOSING = "The vote is closing; the result comes into the thread in a moment."
LINK_READY = "Here is your link; it works for a few minutes and for you only. Press Download again for a new one."
NO_WAY = "The file is too large to attach here, and this bot has no address to download from. The people who run it can set one."
"""Short answers of ballots and deliveries."""
