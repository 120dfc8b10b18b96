"""What is measured of a checkpoint and of a scale. None means: not measured, and says so to the member."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any


class Flag(StrEnum):
    """What disqualifies a checkpoint, or warns about it."""

    NAN = "nan"
    BLACK = "black"
    COLLAPSED = "collapsed"
    VALIDATION_VETO = "validation_veto"
    MEMORISED = "memorised"
    LEAKS = "leaks"


BROKEN: frozenset[Flag] = frozenset({Flag.NAN, Flag.BLACK, Flag.COLLAPSED})
"""A checkpoint with one of these cannot win, whatever its votes."""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """The measurements of one checkpoint. Ratios are against the base model on the same draws: 1.0 is "like the base"."""

    validation_ratio: float | None
    """Held-out loss over the base's loss at the same noise and timesteps; below 1 something was learned."""
    training_ratio: float | None
    """The same on training pictures; the gap to `validation_ratio` is overfitting."""
    likeness: float | None
    """How far triggered previews moved from the base's towards the training pictures: 0 = not at all, 1 = all the way."""
    adherence: float | None
    """How much nearer to the own prompt (class word for trigger) than to the other rows', over the base's at equal seeds."""
    variety: float | None
    """Spread of triggered previews over the base's spread; small means that they are all the same picture."""
    leakage: float | None
    """Distance from the base at equal seed for prompts without the trigger, over the base's own distance between seeds."""
    memorisation: float | None
    """Similarity to the nearest training picture over the largest similarity between two training pictures."""
    utility: float | None
    """Mean of `utilities`."""
    utilities: tuple[float, ...]
    """Utility per triggered prompt, in the plan's order: pairs across checkpoints, so that differences are paired."""
    flags: tuple[Flag, ...]
    seconds: float
    """What measuring cost."""
    sharpness: float | None = None
    """Of triggered previews, over the less sharp of the base's at equal seed and the training pictures: 1.0 is as sharp."""
    seed_variety: float | None = None
    """Mean distance between the seeds of one triggered prompt, over the base's; small means that the seed hardly matters."""
    likenesses: tuple[float, ...] = ()
    """Of each concept, in the plan's order, towards its own pictures; `likeness` is their mean. Empty where there is one."""
    likeness_by: str = ""
    """Which eye `likeness` comes from: clip, dinov2, face or style; empty where there was none, or before there were several."""
    second_likeness: float | None = None
    """The same by another eye, as a second opinion; it is in no utility."""
    second_by: str = ""
    coherence: float | None = None
    """How alike the training pictures are to each other for that first eye, as a mean cosine: what `likeness` is normalised by."""
    validation_error: float | None = None
    """Standard error of `validation_ratio`: the larger of what its draws say, each alone, and what its pictures say as clusters."""
    training_error: float | None = None
    """That of `training_ratio`."""
    gaps: tuple[float, ...] = ()
    """Held-out minus training ratio in each stratum of the timesteps, clean to noisy; empty where nothing was held out.

    A gap at the noisy end says that layouts are known by heart, at the clean end textures.
    """
    saturation: float | None = None
    """Colour of triggered previews outside of what base and training pictures span: 1.0 is within, 1.3 is 30 % more than either."""
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """By name of a number above: where it lies in 95 % of resamples of the prompts; not where fewer than two prompts say it."""
    costs: Mapping[str, float] = field(default_factory=dict)
    """Seconds by part: drawing, encoders, validation, statistics, and base (measuring it) with the first checkpoint of each
    process that trained."""

    @property
    def measuring_s(self) -> float:
        """Seconds of all parts but drawing: what may be at most a tenth of an order."""
        return sum(seconds for part, seconds in self.costs.items() if part != "drawing")

    def numbers(self) -> str:
        """As `to_json`, without what the clock says: equal for equal pictures and weights."""
        return replace(self, seconds=0.0, costs={}).to_json()

    def to_json(self) -> str:
        """As kept in the checkpoint's row."""
        return json.dumps(asdict(self), sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Measurement:
        """The inverse of `to_json`."""
        data: dict[str, Any] = json.loads(text)
        data["utilities"] = tuple(data["utilities"])
        data["likenesses"] = tuple(data.get("likenesses", ()))
        data["flags"] = tuple(Flag(f) for f in data["flags"])
        data["gaps"] = tuple(data.get("gaps", ()))
        data["intervals"] = {name: (low, high) for name, (low, high) in data.get("intervals", {}).items()}
        return cls(**data)


@dataclass(frozen=True, kw_only=True)
class ScalePoint:
    """The measurements of the chosen file at one scale."""

    scale: float
    likeness: float
    adherence: float
    leakage: float
    utility: float
    """Mean of `utilities`, where there are any."""
    utilities: tuple[float, ...] = ()
    """Utility per triggered prompt: the same prompts and seeds at every scale, so that differences are paired."""


@dataclass(frozen=True, kw_only=True)
class ScaleChoice:
    """The scale to recommend, from `scale.choose_scale`."""

    recommended: float
    """Rounded to 0.05."""
    low: float
    high: float
    """Within [low, high] the fitted utility stays within 5 % of its best."""
    points: tuple[ScalePoint, ...]
    measured: bool = True
    """Whether one scale was better than another; if not, 1.0 is advice out of habit."""
    between: tuple[float, float] | None = None
    """Where the recommendation lies in 95 of 100 redraws of the prompts, rather too narrow where there are few of those: a redraw
    shows no prompt that was not there. None where there were too few to redraw."""
    reported: ScalePoint | None = None
    """The recommended scale measured on the plan's own prompts and seeds, which had no part in choosing it."""

    @property
    def half_width(self) -> float | None:
        """Half of `between`: how far the recommendation may be off, as far as the prompts can tell; it is rounded to 0.05."""
        return None if self.between is None else max(0.03, round((self.between[1] - self.between[0]) / 2, 3))

    def to_json(self) -> str:
        """As kept in the order's row."""
        return json.dumps(asdict(self), sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> ScaleChoice:
        """The inverse of `to_json`."""
        data: dict[str, Any] = json.loads(text)
        data["points"] = tuple(_point(p) for p in data["points"])
        data["between"] = tuple(data["between"]) if data.get("between") else None
        data["reported"] = _point(data["reported"]) if data.get("reported") else None
        return cls(**data)


def _point(data: dict[str, Any]) -> ScalePoint:
    return ScalePoint(**{**data, "utilities": tuple(data.get("utilities", ()))})
