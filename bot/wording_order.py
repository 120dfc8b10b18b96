"""From Start to delivery in words: progress, grids, the ballot, the choice, the card, and failures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.wording import clip, escape, when
from storage.domain.choice import Choice
from storage.domain.errors import Fault
from storage.domain.measurement import Measurement
from storage.domain.signs import Sign
from storage.speech import Sentence, _, later, translated
from storage.words import (
    because_sentence,
    duration,
    flag_sentences,
    measurement_line,
    percent,
    votes_words,
)
from storage.words_signs import sign_sentence

STALL_S = 120
"""After so long without a word from the GPU the member is told."""
VOTE_EMOJI = "\N{THUMBS UP SIGN}"

_DOING: dict[str, Sentence] = {
    "loading": later("loading the base model"),
    "caching": later("looking at the pictures"),
    "training": later("learning"),
    "exporting": later("writing the file"),
    "previewing": later("drawing previews"),
    "measuring": later("measuring"),
    "sweeping": later("trying scales"),
    "packing": later("packing the files"),
    "stalled": later("waiting for the machine"),
}


_LEARNING = later("error on the training pictures at {share} of the base model's: it is learning")
_NOT_LEARNING = later("error on the training pictures at {share} of the base model's: nothing learned yet")


def doing_words(stage: str) -> str:
    """What the GPU is doing, by the stage that the worker writes."""
    return _DOING[stage]() if stage in _DOING else stage


def how_far(stage: str, step: int, steps: int) -> str:
    """Only learning goes in steps; the rest is counted in pictures, scales and files."""
    if stage == "training":
        return _("step {step} of {steps}", step=step, steps=steps)
    return _("{done} of {all}", done=step, all=steps)


def bar(share: float, width: int = 16) -> str:
    """A bar of blocks for a share in [0, 1]."""
    full = round(min(max(share, 0.0), 1.0) * width)
    return "▰" * full + "▱" * (width - full)


def waiting(name: str, place: str) -> str:
    """The status message of a queued order; `place` from `wording.in_line`."""
    return _("**{name}** is {place}.", name=escape(name), place=place)


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
    lines = [_("**{name}**: {what}", name=escape(name), what=doing_words(doing))]
    if steps:
        lines.append(f"{bar(step / steps)} {how_far(doing, step, steps)}")
    if seconds_left is not None and silent_s < STALL_S:
        lines.append(_("about {time} left", time=duration(seconds_left)))
    if loss_ratio is not None:
        share = percent(loss_ratio).replace("\u00a0", " ")
        lines.append((_LEARNING if loss_ratio < 1 else _NOT_LEARNING)(share=share))
    lines += [careful(sign) for sign in signs]
    if silent_s >= STALL_S:
        lines.append(
            _(
                "I have heard nothing from the machine for {time}. The order is safe and goes on where it was.",
                time=duration(silent_s),
            )
        )
    return "\n".join(lines)


def careful(sign: Sign) -> str:
    """A warning sign of the training."""
    return _("Careful. {what}", what=sign_sentence(sign))


def trained(name: str) -> str:
    """The status message once the last checkpoint is there."""
    return _("**{name}**: training is done, the vote is open.", name=escape(name))


def grid_caption(
    *, step: int, steps: int, number: int, of: int, measurement: Measurement | None, signs: Sequence[Sign] = ()
) -> str:
    """The text over a grid: which checkpoint, what was measured, what is odd since the one before, how to vote."""
    lines = [
        _(
            "**Checkpoint {number} of {of}** (step {step} of {steps}). "
            "Left: the base model without the LoRA; right of it: with it.",
            number=number,
            of=of,
            step=step,
            steps=steps,
        ),
        measurement_line(measurement),
        *flag_sentences(measurement),
        *map(careful, signs),
        _("React with {emoji} if this is a good one; you may vote for several.", emoji=VOTE_EMOJI),
    ]
    return clip("\n".join(lines))


def grid_alt(*, step: int, name: str) -> str:
    """The grid's description for people who do not see it."""
    return _(
        "Grid of previews at step {step} of {name}: a row per prompt, the first column without the LoRA.",
        step=step,
        name=escape(name, 60),
    )


def sheet_alt(steps: Sequence[int]) -> str:
    """The ballot sheet's description for people who do not see it."""
    return _("All checkpoints side by side: steps {steps}.", steps=", ".join(map(str, steps)))


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
        _(
            "**Which {name} is best?** React with its number, or under its grid; each person counts once per checkpoint.",
            name=escape(name),
        )
    ]
    for row in rows:
        broken = f" {' '.join(flag_sentences(row.measurement))}" if row.measurement and row.measurement.flags else ""
        lines.append(
            _(
                "{emoji} step {step}: {votes}. {measured}",
                emoji=row.emoji,
                step=row.step,
                votes=votes_words(row.votes),
                measured=measurement_line(row.measurement) + broken,
            )
        )
    lines.append(
        _("Open until {when}. Most votes win; where nobody votes, the measured best is taken.", when=when(deadline))
        if deadline
        else _("The vote is closed.")
    )
    return clip("\n".join(lines))


def closed(*, name: str, choice: Choice) -> str:
    """What the ballot decided, why, and what happens next."""
    lines = [
        _(
            "**{name}**: the vote is closed, **step {step}** it is. {because}",
            name=escape(name),
            step=choice.step,
            because=because_sentence(choice),
        ),
        _("Its best scale is measured next, then the file is handed over."),
    ]
    return clip("\n".join(lines))


_FAULT = {
    Fault.PICTURES: later("the pictures"),
    Fault.MACHINE: later("the machine, not you or your pictures"),
    Fault.PROGRAM: later("the program, not you or your pictures"),
}


def fault_words(fault: str | None) -> str:
    """Whose fault a failed order is."""
    return _FAULT[Fault(fault) if fault else Fault.PROGRAM]()


_ADVICE = {
    Fault.PICTURES: later("Start a new order with other pictures."),
    Fault.MACHINE: later("Press Retry; your pictures are kept for it."),
    Fault.PROGRAM: later("Press Retry once; if it fails again, tell the people who run this bot."),
}


def failure(*, name: str, fault: str | None, reason: str, retry: bool) -> str:
    """A failed order: whose fault, what happened, what to do."""
    lines = [
        _("**{name}** could not be finished. The cause is {cause}.", name=escape(name), cause=fault_words(fault)),
        _("What happened: {reason}", reason=escape(translated(reason), 300)) if reason else "",
        _ADVICE[Fault(fault) if fault else Fault.PROGRAM]() if retry else "",
    ]
    return clip("\n".join(line for line in lines if line))


def given_up(name: str) -> str:
    """A failed order that was not tried again."""
    return _(
        "**{name}** is closed: it could not be finished, and its pictures are deleted. /train begins a new one.",
        name=escape(name),
    )


def thread_below(name: str) -> str:
    """The message that a thread is made from where the plan card is gone."""
    return _("**{name}**: the order's thread is below.", name=escape(name))


NO_PICTURE = later(
    "Its picture cannot be shown here; what was measured still tells something, and it can be voted for."
)
CLOSING = later("The vote is closing; the result comes into the thread in a moment.")
TAKE_THIS, TAKE_NOW, FINISH = later("Take this one"), later("Take the file now"), later("Finish the vote now")
DOWNLOAD, WHOLE_ORDER, RETRY = later("Download"), later("See the whole order"), later("Retry")
"""Buttons in a thread."""
