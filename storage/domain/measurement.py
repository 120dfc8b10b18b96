"""What is measured of a checkpoint and of a scale. None means: not measured, and says so to the member."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
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
        return cls(**data)


@dataclass(frozen=True, kw_only=True)
class ScalePoint:
    """The measurements of the chosen file at one scale."""

    scale: float
    likeness: float
    adherence: float
    leakage: float
    utility: float


@dataclass(frozen=True, kw_only=True)
class ScaleChoice:
    """The scale to recommend, from `choice.choose_scale`."""

    recommended: float
    """Rounded to 0.05."""
    low: float
    high: float
    """Within [low, high] the fitted utility stays within 5 % of its best."""
    points: tuple[ScalePoint, ...]
    measured: bool = True
    """Whether one scale was better than another; if not, 1.0 is advice out of habit."""

    def to_json(self) -> str:
        """As kept in the order's row."""
        return json.dumps(asdict(self), sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> ScaleChoice:
        """The inverse of `to_json`."""
        data: dict[str, Any] = json.loads(text)
        data["points"] = tuple(ScalePoint(**p) for p in data["points"])
        return cls(**data)
