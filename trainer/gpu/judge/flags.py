"""What makes a checkpoint unfit, read from the drawn pixels themselves: no model is asked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from storage.domain.measurement import Flag
from trainer.gpu.judge.sight import Seen

BLACK_BELOW = 8.0
"""Mean grey value (of 255) of a picture that shows nothing; the safety filters and NaNs of other programs draw 0."""
FLAT_BELOW = 3.0
"""Standard deviation of grey values of a picture without anything in it."""
SAME_BELOW = 2.0
"""Mean absolute difference between pictures of different prompts and seeds that are one and the same."""
LEAKS_ABOVE = 1.0
"""Others change more by the LoRA than by another seed."""
MEMORISED_ABOVE = 1.0
"""A drawn picture is nearer to a training picture than any two training pictures are ..."""
COPY_ABOVE = 0.95
"""... and as near as a copy: the right subject in the right place alone comes to 0.8-0.9 (EXPERIMENTS, pocket recipe)."""


def flags(triggered: Sequence[Image.Image], *, finite: bool, seen: Seen | None, overfits: bool) -> tuple[Flag, ...]:
    """All that apply, in the order of `Flag`."""
    grey = [np.asarray(image.convert("L"), dtype=np.float32) for image in triggered]
    applies = {
        Flag.NAN: not finite,
        Flag.BLACK: sum(float(g.mean()) < BLACK_BELOW for g in grey) * 2 > len(grey),
        Flag.COLLAPSED: _collapsed(grey),
        Flag.VALIDATION_VETO: overfits,
        Flag.MEMORISED: seen is not None and min(seen.memorisation / MEMORISED_ABOVE, seen.nearest / COPY_ABOVE) > 1.0,
        Flag.LEAKS: seen is not None and seen.leakage > LEAKS_ABOVE,
    }
    return tuple(flag for flag in Flag if applies[flag])


def _collapsed(grey: Sequence[npt.NDArray[np.float32]]) -> bool:
    """Most pictures are flat, or all are the same picture."""
    if sum(float(g.std()) < FLAT_BELOW for g in grey) * 2 > len(grey):
        return True
    alike = [g for g in grey if g.shape == grey[0].shape]
    return len(alike) > 1 and max(float(np.abs(g - alike[0]).mean()) for g in alike[1:]) < SAME_BELOW
