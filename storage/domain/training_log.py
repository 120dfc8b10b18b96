"""What a training says of itself as it goes: every ten steps its loss, rate, pace and memory."""

from __future__ import annotations

import math
from dataclasses import dataclass

EVERY = 10
"""Steps between two entries."""
MOST = 1000
"""Entries kept of an order: a plot shows no more. Of a longer training every second, third ... entry is kept."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A training after `step` steps."""

    step: int
    loss: float
    """Mean squared error of this step's views, unweighted."""
    loss_ratio: float
    """The same over the base's at like timesteps, smoothed over about ten steps: `trainer.gpu.pulse`."""
    learning_rate: float
    steps_per_s: float
    """Over the steps since the last entry; drawing previews and measuring are not in it."""
    memory_mib: int
    """The most that the GPU has given to this training at once; without one, what the process holds now."""


def is_kept(step: int, steps: int) -> bool:
    """Whether the entry at `step` of a training of `steps` is kept, so that there are never more than `MOST`."""
    if steps <= MOST * EVERY:
        return True
    return step % (EVERY * math.ceil(steps / (MOST * EVERY))) == 0
