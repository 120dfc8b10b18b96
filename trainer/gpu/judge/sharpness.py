"""How sharp drawn pictures are next to what they could be: the base's own and the training pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np
import numpy.typing as npt
from PIL import Image

FLAT = 1.0
"""Added to a picture's variance of grey values, so that an empty picture is not divided by nothing."""

Drawn = Mapping[tuple[int, int], Image.Image]
"""(row, seed) -> picture."""


def sharpness(image: Image.Image) -> float:
    """Variance of the Laplacian over the variance of grey values: edges for their contrast, so that dark pictures are not blurred.

    The measure is LAP4 of Pertuz et al. 2013, "Analysis of focus measure operators for shape-from-focus".
    """
    grey: npt.NDArray[np.float32] = np.asarray(image.convert("L"), dtype=np.float32)
    if min(grey.shape) < 3:
        return 0.0
    inner = grey[1:-1, 1:-1]
    edges = 4 * inner - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    return float(edges.var()) / (float(grey.var()) + FLAT)


def relative(drawn: Drawn, base: Drawn, pictures: Sequence[Image.Image]) -> float | None:
    """Geometric mean of the drawn pictures' sharpness over what may be expected of each; None where there is nothing to compare.

    Expected is the less sharp of the base's picture at equal prompt and seed and of the training pictures on average: soft
    pictures teach softness, and a base draws no finer than it can.
    """
    taught = fmean(map(sharpness, pictures)) if pictures else math.inf
    pairs = [(sharpness(image), min(sharpness(base[cell]), taught)) for cell, image in drawn.items() if cell in base]
    logs = [math.log(max(now, 1e-6) / expected) for now, expected in pairs if 0 < expected < math.inf]
    return math.exp(fmean(logs)) if logs else None
