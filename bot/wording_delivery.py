"""Handing over in words: the card of a finished LoRA, and the files that are taken on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bot.wording import clip, escape, mention
from storage.domain.choice import Choice
from storage.domain.measurement import Measurement, ScaleChoice
from storage.speech import _, decimal, later
from storage.usage import Use
from storage.words import because_sentence, measurement_line, scale_sentence, size


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
    ended: str = ""
    """Where and why its training ended early."""
    licence: str = ""
    shared: str = ""
    """Its address on the operator's model hub."""


_READY_MENTIONED = later("{owner}, **{name}** is ready. Trigger word: **{trigger}**")
_READY = later("**{name}** is ready. Trigger word: **{trigger}**")


def card(data: DeliveryCard) -> str:
    """The card: the file, why this one, at which scale, how to use it."""
    lines = [
        _READY_MENTIONED(owner=mention(data.owner_id), name=escape(data.name), trigger=data.trigger)
        if data.owner_id
        else _READY(name=escape(data.name), trigger=data.trigger),
        _("Step {step}. {because}", step=data.choice.step, because=because_sentence(data.choice)),
        data.ended,
        measurement_line(data.measurement),
        scale_sentence(data.scale) if data.scale else "",
        _handed(data),
        _("Try: {prompts}", prompts="; ".join(f"`{escape_code(p)}`" for p in data.prompts)) if data.prompts else "",
        *(_use(use) for use in data.how),
        _("Licence: {licence}.", licence=data.licence) if data.licence else "",
        _("On the model hub: {link}", link=f"<{data.shared}>") if data.shared else "",
    ]
    return clip("\n".join(line for line in lines if line))


def _use(use: Use) -> str:
    if use.code:
        return _("- {tool}: {what} {code}", tool=use.tool, what=use.say, code=f"`{escape_code(use.code)}`")
    return _("- {tool}: {what}", tool=use.tool, what=use.say)


def escape_code(text: str) -> str:
    """A text of ours with a member's words in it, for between two back-ticks."""
    return text.replace("`", "'")


def _handed(data: DeliveryCard) -> str:
    about = size(data.file_bytes)
    if data.way == "download":
        return _("The file ({size}) is too large to attach here: press Download, the link is for you only.", size=about)
    if data.way == "compact":
        said = _("The file ({size}) is too large to attach here, so this is a compact version.", size=about)
        if data.compact_loss is None:
            return said
        loss = _("It loses about {percent} % of the effect.", percent=decimal(100 * data.compact_loss, 1))
        return f"{said} {loss}"
    return _("The file ({size}) and its notes are attached.", size=about)


def once_more(*, name: str, trigger: str) -> str:
    """The delivered file again, for its owner alone."""
    return _("Here is the file of **{name}**. Trigger word: **{trigger}**.", name=escape(name), trigger=trigger)


def taken(*, name: str, step: int, trigger: str, goes_on: bool) -> str:
    """The owner takes a checkpoint's file, on the way or once the order has ended."""
    said = _(
        "**{name}** as it was at step {step}. Trigger word: **{trigger}**.",
        name=escape(name),
        step=step,
        trigger=trigger,
    )
    return said + " " + _("The order goes on as before.") if goes_on else said


FILE_GONE = later("That file is no longer kept: checkpoints that were not chosen are deleted some time after the end.")
LINK_READY = later(
    "Here is your link; it works for a few minutes and for you only. Press Download again for a new one."
)
NO_WAY = later(
    "The file is too large to attach here, and this bot has no address to download from. The people who run it can set one."
)
"""Short answers of ballots and deliveries."""
ALTS = {
    "preview": later("A picture drawn with the LoRA at the recommended scale; its file carries the ComfyUI workflow."),
    "strip": later("The same prompts drawn at rising scales of the LoRA, from left to right."),
}
"""Descriptions of pictures that are handed over, by role."""
