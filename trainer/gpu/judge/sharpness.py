"""How sharp drawn pictures are next to what they could be: the base's own and the training pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np
import numpy.typing as npt
from PIL import Image

from trainer.gpu.judge.intervals import DIGITS, Interval, of_mean

FLAT = 1.0
"""Added to a picture's variance of grey values, so that an empty picture is not divided by nothing."""

Cell = tuple[int, int]
"""(row, seed)."""
Drawn = Mapping[Cell, Image.Image]


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


def drifts(drawn: Drawn, base: Drawn, pictures: Sequence[Image.Image]) -> dict[Cell, float]:
    """By cell, the logarithm of a picture's sharpness over what may be expected of it; not where nothing may be.

    Expected is the less sharp of the base's picture at equal prompt and seed and of the training pictures on average: soft
    pictures teach softness, and a base draws no finer than it can.
    """
    taught = fmean(map(sharpness, pictures)) if pictures else math.inf
    pairs = {cell: min(sharpness(base[cell]), taught) for cell in drawn if cell in base}
    return {
        cell: math.log(max(sharpness(drawn[cell]), 1e-6) / expected)
        for cell, expected in pairs.items()
        if 0 < expected < math.inf
    }


def relative(logs: Mapping[Cell, float]) -> float | None:
    """Their geometric mean: 1.0 is as expected; None where there is nothing to compare."""
    return math.exp(fmean(logs.values())) if logs else None


def interval(logs: Mapping[Cell, float]) -> Interval | None:
    """Of that mean, over prompts."""
    rows = sorted({row for row, _ in logs})
    found = of_mean([fmean(log for (at, _), log in logs.items() if at == row) for row in rows])
    return (round(math.exp(found[0]), DIGITS), round(math.exp(found[1]), DIGITS)) if found else None
