"""Trainings that may end early, and the full run, in words: on the plan card, in the thread, on the delivery card."""

from __future__ import annotations

from bot.wording import escape
from storage.speech import _, later
from storage.stopping import Stop
from storage.words import duration
from storage.words_stopping import ended_early, given_back

MAY_END = later("Training may end early, where its checkpoints show that nothing better is to come.")
MAY_END_UNLESS = later(
    "Training may end early, where its checkpoints show that nothing better is to come; press **Full run** for every step."
)
FULL_RUN_ASKED = later("**Full run:** every step is trained, also where nothing better is to be expected.")
FULL_RUN, MAY_END_EARLY = later("Full run"), later("May end early")
"""The button, and the one that takes it back."""
FULL_RUN_ANSWER = later("Every step of the plan will be trained.")
MAY_END_ANSWER = later("Training may end early again.")


def on_plan_card(*, early_stop: bool, full_run: bool, draft: bool) -> list[str]:
    """What the plan card says; nothing where a training never ends early. A draft alone has the button."""
    if early_stop:
        return [MAY_END_UNLESS() if draft else MAY_END()]
    return [FULL_RUN_ASKED()] if full_run else []


def stopped(stop: Stop) -> str:
    """Where and why it ended, and what that gave back."""
    return f"{ended_early(stop.step, stop.because)} {given_back(stop.steps, duration(stop.saved_s))}"


def status(name: str, stop: Stop) -> str:
    """The status message while people vote."""
    return _("**{name}**: the vote is open.", name=escape(name)) + "\n" + stopped(stop)
