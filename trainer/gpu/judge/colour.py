"""How strong the colours of drawn pictures are next to what they could be: a LoRA that was trained too far burns or bleaches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

import numpy as np
import numpy.typing as npt
from PIL import Image

from trainer.gpu.judge.sharpness import Cell, Drawn

GREY = 0.02
"""Added to every saturation (0 to 1): drawings without colour have none to divide by."""


def saturation(image: Image.Image) -> float:
    """Mean over all pixels of the largest minus the smallest of red, green and blue, 0 to 1.

    The chroma of the HSV cone (Smith 1978, "Color gamut transform pairs", SIGGRAPH); dark pixels count little, as for the eye.
    """
    rgb: npt.NDArray[np.float32] = np.asarray(image.convert("RGB"), dtype=np.float32) / 255.0
    return float((rgb.max(axis=2) - rgb.min(axis=2)).mean())


def drifts(drawn: Drawn, base: Drawn, pictures: Sequence[Image.Image]) -> dict[Cell, float]:
    """By cell, the logarithm of a picture's saturation over the nearer end of what is expected of it; 0 within.

    Expected is anything from the base's picture of the same prompt and seed to the training pictures' mean: a subject may be
    more or less colourful than what the base draws for it.
    """
    taught = fmean(map(saturation, pictures)) if pictures else None
    found = {}
    for cell, image in drawn.items():
        if cell in base:
            ends = [saturation(base[cell]), *([] if taught is None else [taught])]
            now = saturation(image)
            nearest = min(max(now, min(ends)), max(ends))
            found[cell] = math.log((now + GREY) / (nearest + GREY))
    return found
