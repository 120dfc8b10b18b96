"""A training that ended early, in a newcomer's words: why, and what that gave back."""

from __future__ import annotations

from storage.domain.stopping import Because
from storage.speech import Sentence, _, later

ENDED: dict[Because, Sentence] = {
    Because.BROKEN: later(
        "Training ended early, after step {step}: two checkpoints in a row came out broken, and an earlier one is sound."
    ),
    Because.BY_HEART: later(
        "Training ended early, after step {step}: it got worse on pictures that it had not seen, so more of it would "
        "only have been learning by heart."
    ),
    Because.WORSE: later(
        "Training ended early, after step {step}: two checkpoints in a row measured worse than one before them."
    ),
    Because.SETTLED: later(
        "Training ended early, after step {step}: by what was measured it has settled, and nothing better was to be "
        "expected of the rest."
    ),
}


def ended_early(step: int, because: str) -> str:
    """Where and why; `because` is a `stopping.Because`, as the departure keeps it, or what a file of others says instead."""
    known = next((each for each in Because if each == because), None)
    if known is None:
        return _("Training ended early, after step {step}: {reason}.", step=step, reason=because)
    return ENDED[known](step=step)


def given_back(steps: int, time: str) -> str:
    """What a plan of so many steps gave back; `time` by `words.duration`."""
    return _("The plan had {steps} steps; about {time} of GPU time was given back.", steps=steps, time=time)


def may_end_early() -> str:
    """What a plan that allows it says of itself."""
    return _("Training ends early where its checkpoints show that nothing better is to come.")
