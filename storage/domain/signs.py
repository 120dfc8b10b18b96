"""Warning signs of a training, named while it runs: numbers in, what is odd about them out.

Every threshold lies between what sound trainings of the pocket measured and what spoilt ones did (EXPERIMENTS.md, "Seventeen
subjects, all four types" and "Warning signs"). They are advice: nothing is stopped for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from storage.domain.measurement import Measurement
from storage.domain.orders import SubjectType
from storage.domain.plan import Plan
from storage.domain.training_log import Entry


class SignKind(StrEnum):
    """What can be odd."""

    STUCK = "stuck"
    """The loss does not fall."""
    JUMPING = "jumping"
    """The loss rises again."""
    ALIKE = "alike"
    """Previews hardly differ between seeds."""
    BLUR = "blur"
    """Previews are less sharp than base and training pictures."""
    EVERYWHERE = "everywhere"
    """Pictures without the trigger take on what was learned."""


@dataclass(frozen=True, kw_only=True)
class Sign:
    """One warning sign, as it was first seen."""

    kind: SignKind
    step: int
    value: float
    """The number that crossed its threshold."""


Measured = Sequence[tuple[int, Measurement]]
"""Checkpoints with their steps, ascending."""

STUCK_ABOVE = 0.99
"""`Measurement.training_ratio`, on equal draws. Sound: at most 0.90 after a quarter of the steps. The log says nothing sure here:
its draws differ from step to step."""
STUCK_SHARE = 1 / 3
"""So much of the plan is done before it counts."""
RISEN = 0.25
"""Rise of the running loss above its lowest, both over thirty steps, so that single hard steps do not count."""
TOGETHER = 3
"""Entries that are taken together: thirty steps."""
ALIKE_BELOW = 0.5
"""Distance between seeds of a prompt, over the base's."""
BLURRED_BELOW = 0.5
"""`Measurement.sharpness`. Sound: 0.75 to 1.36; a Gaussian blur of half a pixel: 0.47 to 0.51, of 0.7 pixels 0.25 to 0.29."""
SPILLS_ABOVE = {SubjectType.STYLE: 1.03}
"""Leakage, by subject type: what sound trainings of a style have, on the mean, a quarter past the recipe's steps ..."""
SPILLS_ABOVE_ELSE = 0.66
"""... and of toys, the highest mean of the other types."""
RISING = 1.1
"""So many times the leakage of the checkpoint before counts as rising."""


def signs(plan: Plan, log: Sequence[Entry], measured: Measured) -> tuple[Sign, ...]:
    """All signs, each once, at the step where it was first seen. `log` and `measured` ascend in step."""
    found = (_stuck(plan, measured), _jumping(log), *_previews(measured), _everywhere(plan, measured))
    return tuple(sorted((sign for sign in found if sign), key=lambda sign: sign.step))


def _stuck(plan: Plan, measured: Measured) -> Sign | None:
    for step, m in measured:
        if m.training_ratio is not None and step >= plan.steps * STUCK_SHARE:
            stuck = m.training_ratio > STUCK_ABOVE
            return Sign(kind=SignKind.STUCK, step=step, value=m.training_ratio) if stuck else None
    return None


def _jumping(log: Sequence[Entry]) -> Sign | None:
    lowest = float("inf")
    for k in range(TOGETHER, len(log) + 1):
        mean = sum(entry.loss_ratio for entry in log[k - TOGETHER : k]) / TOGETHER
        if mean > lowest + RISEN:
            return Sign(kind=SignKind.JUMPING, step=log[k - 1].step, value=mean)
        lowest = min(lowest, mean)
    return None


def _previews(measured: Measured) -> tuple[Sign | None, Sign | None]:
    alike = blurred = None
    for step, m in measured:
        if alike is None and m.seed_variety is not None and m.seed_variety < ALIKE_BELOW:
            alike = Sign(kind=SignKind.ALIKE, step=step, value=m.seed_variety)
        if blurred is None and m.sharpness is not None and m.sharpness < BLURRED_BELOW:
            blurred = Sign(kind=SignKind.BLUR, step=step, value=m.sharpness)
    return alike, blurred


def _everywhere(plan: Plan, measured: Measured) -> Sign | None:
    """Much, and more than at the checkpoint before."""
    most = SPILLS_ABOVE.get(plan.subject_type, SPILLS_ABOVE_ELSE)
    before = 0.0
    for step, m in measured:
        if m.leakage is None:
            continue
        if m.leakage > most and m.leakage > RISING * before:
            return Sign(kind=SignKind.EVERYWHERE, step=step, value=m.leakage)
        before = m.leakage
    return None
