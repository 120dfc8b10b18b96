"""What came of a comparison of LoRAs: means over prompts with their intervals, for the table, the page and programs.

The GPU child measures every prompt; here numbers are only added up. A ratio to the base is the ratio of two means over the
same prompts: a mean of ratios would be ruled by the prompts that the base itself hardly follows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

DRAWS = 2000
"""Of the bootstrap (Efron 1979): the 95 % percentile interval of a mean over prompts changes by about 1 % of its width."""
SEED = 7

MeasureName = Literal["clip_text", "clip_picture", "likeness", "adherence", "variety"]


@dataclass(frozen=True, kw_only=True)
class Measure:
    """How one of the numbers is called and read."""

    name: MeasureName
    title: str
    hint: str
    percent: bool = False


MEASURES = (
    Measure(
        name="clip_text",
        title="CLIP text",
        hint="Cosine of picture and prompt, with the class word for the trigger (CLIP-T). Higher follows the words better.",
    ),
    Measure(
        name="clip_picture",
        title="CLIP picture",
        hint="Mean cosine of drawn and training pictures (CLIP-I). Places count in it as much as the subject does.",
    ),
    Measure(
        name="likeness",
        title="Likeness",
        hint="How far pictures have moved from the base's at the same prompt and seed (0 %) to the training pictures (100 %).",
        percent=True,
    ),
    Measure(
        name="adherence",
        title="Prompt followed",
        hint="How much nearer pictures are to their own prompt than to the others, over the base's; 100 % is as well as the base.",
        percent=True,
    ),
    Measure(
        name="variety",
        title="Variety",
        hint="How much the seeds of one prompt differ, over the base's; small means that the seed hardly matters.",
        percent=True,
    ),
)


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What was measured of one contestant, a number a prompt; empty where it was not measured."""

    text: Sequence[float] = ()
    """Cosine of pictures and plain prompt."""
    picture: Sequence[float] = ()
    """Cosine of drawn and training pictures."""
    likeness: Sequence[float] = ()
    contrast: Sequence[float] = ()
    """How much nearer to the own prompt than to the other prompts."""
    spread: Sequence[float] = ()
    """Distance between the seeds."""


@dataclass(frozen=True, kw_only=True)
class Value:
    """A mean over prompts."""

    mean: float
    low: float | None = None
    """Of the 95 % bootstrap interval over prompts; None with a single prompt."""
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """One LoRA, or the base as it draws a LoRA's prompts."""

    name: str
    file: str | None
    """None is the base."""
    sha256: str | None
    scale: float | None
    trigger: str
    class_word: str
    pictures: int
    seconds: float
    """What drawing took."""
    scores: Scores
    values: Mapping[MeasureName, Value | None]
    """None: not measured."""

    @property
    def is_base(self) -> bool:
        """Whether nothing was worn."""
        return self.file is None


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The whole comparison."""

    base: str
    labels: Sequence[str]
    """The prompts for people, whatever the subject."""
    lines: Sequence[str]
    """The prompts as they were given."""
    seeds: Sequence[Sequence[int]]
    """Of each prompt."""
    training_pictures: int
    eyed: bool
    """Whether there is an encoder beside the base; without one nothing is measured."""
    contestants: Sequence[Contestant]


def values_of(own: Scores, base: Scores) -> dict[MeasureName, Value | None]:
    """Means with their intervals. A ratio to a base whose own mean is not surely above nothing is not measured."""
    return {
        "clip_text": mean_of(own.text),
        "clip_picture": mean_of(own.picture),
        "likeness": mean_of(own.likeness),
        "adherence": ratio_of(own.contrast, base.contrast),
        "variety": ratio_of(own.spread, base.spread),
    }


def mean_of(numbers: Sequence[float]) -> Value | None:
    """Mean over prompts with its bootstrap interval; None where nothing was measured."""
    return ratio_of(numbers, [1.0] * len(numbers))


def ratio_of(numbers: Sequence[float], base: Sequence[float]) -> Value | None:
    """Ratio of two means over the same prompts, which are drawn together; None where the base's mean may be nothing."""
    if not numbers or len(numbers) != len(base):
        return None
    above, below = np.asarray(numbers, np.float64), np.asarray(base, np.float64)
    if len(above) == 1:
        return Value(mean=float(above[0] / below[0])) if below[0] > 0 else None
    drawn = np.random.default_rng(SEED).integers(0, len(above), (DRAWS, len(above)))
    under = _means(below, drawn)
    if np.percentile(under, 2.5) <= 0:
        return None
    low, high = np.percentile(_means(above, drawn) / np.maximum(under, 1e-6), [2.5, 97.5])
    return Value(mean=float(above.mean() / below.mean()), low=float(low), high=float(high))


def _means(numbers: npt.NDArray[np.float64], drawn: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    return np.asarray(numbers[drawn].mean(axis=1), np.float64)


def result_of(found: Evaluation) -> dict[str, Any]:
    """As plain JSON values. What was not measured is null, never zero."""
    return {
        "base": found.base,
        "prompts": list(found.lines),
        "seeds": [list(seeds) for seeds in found.seeds],
        "training_pictures": found.training_pictures,
        "encoder": "clip" if found.eyed else None,
        "contestants": [_contestant(one) for one in found.contestants],
    }


def _contestant(one: Contestant) -> dict[str, Any]:
    return {
        "name": one.name,
        "file": one.file,
        "sha256": one.sha256,
        "scale": one.scale,
        "trigger": one.trigger,
        "class_word": one.class_word,
        "pictures": one.pictures,
        "seconds": one.seconds,
        "measures": {name: asdict(value) if value else None for name, value in one.values.items()},
        "by_prompt": {name: list(numbers) or None for name, numbers in asdict(one.scores).items()},
    }
