"""What makes one checkpoint better than another: how much likeness, variety and leakage count, by subject type.

The values here are where everything starts; votes move them (`storage.domain.preferences`), and a plan says which it used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from storage.domain.knobs import Knob
from storage.domain.orders import SubjectType

LIKENESS_WEIGHT: dict[SubjectType, float] = {
    SubjectType.PERSON: 0.7,
    SubjectType.CHARACTER: 0.6,
    SubjectType.OBJECT: 0.6,
    SubjectType.STYLE: 0.4,
}
"""How much likeness counts against adherence; starting values until votes have taught better ones."""
VARIETY_POWER = 0.25
LEAKAGE_WEIGHT = 0.5
LEAST = 1e-6
"""Nothing is divided by less."""


@dataclass(frozen=True, kw_only=True)
class Taste:
    """The three numbers that turn measurements into one."""

    likeness: float
    """Likeness's share against adherence, between 0 and 1."""
    variety: float = VARIETY_POWER
    """Power of variety: 0 is indifferent to it."""
    leakage: float = LEAKAGE_WEIGHT
    """What is lost where others change as much as by another seed: 0 is indifferent to it."""


@dataclass(frozen=True, kw_only=True)
class Features:
    """What a taste judges of a checkpoint; see `storage.domain.measurement`."""

    likeness: float
    adherence: float
    variety: float
    leakage: float


@dataclass(frozen=True, kw_only=True)
class Judging:
    """The part of a plan that says how its checkpoints and scales are judged, and what follows. See the knobs."""

    likeness_weight: Annotated[
        float | None,
        Knob(
            meaning="How much likeness counts against following the prompt, when checkpoints and scales are judged; none is "
            "the subject type's own",
            change="up where it should above all look like the pictures, down where it should above all do as it is told",
            least=0.05,
            most=0.95,
            source="taste.py: a first choice by subject type; votes move it (EXPERIMENTS.md, Learning from votes)",
        ),
    ] = None
    variety_power: Annotated[
        float | None,
        Knob(
            meaning="Power of variety in the same judgement; none is 0.25",
            change="up where all pictures come out alike, 0 to ignore it",
            least=0.0,
            most=1.0,
            source="taste.py: a first choice, not measured; votes move it (EXPERIMENTS.md, Learning from votes)",
        ),
    ] = None
    leakage_weight: Annotated[
        float | None,
        Knob(
            meaning="What is lost in the same judgement where others change as much as by another seed; none is 0.5",
            change="up where others must stay as they are, 0 to ignore it",
            least=0.0,
            most=1.0,
            source="EXPERIMENTS.md, What likeness measures; votes move it",
        ),
    ] = None
    early_stop: Annotated[
        bool,
        Knob(
            meaning="The training ends at a checkpoint after which, by what was measured, more of it only harms or adds nothing",
            change="off for the full run, to see and choose from every checkpoint of the plan",
            source="storage/domain/stopping.py; off unless the recipe of the base turns it on",
        ),
    ] = False


def usual_taste(subject_type: SubjectType) -> Taste:
    """Where a subject type starts."""
    return Taste(likeness=LIKENESS_WEIGHT[subject_type])


def taste_of(judging: Judging, subject_type: SubjectType) -> Taste:
    """What a plan says, and the subject type's own where it says nothing."""
    usual = usual_taste(subject_type)
    return Taste(
        likeness=usual.likeness if judging.likeness_weight is None else judging.likeness_weight,
        variety=usual.variety if judging.variety_power is None else judging.variety_power,
        leakage=usual.leakage if judging.leakage_weight is None else judging.leakage_weight,
    )


def utility(
    *,
    likeness: float,
    adherence: float,
    leakage: float,
    variety: float,
    subject_type: SubjectType,
    taste: Taste | None = None,
) -> float:
    """How good a checkpoint or a scale is, in [0, 1].

    Weighted harmonic mean of likeness and adherence (both capped at 1), times variety^0.25 (capped at 1) and a penalty for
    leakage: a half where others change as much as by another seed, growing with its square, because others that move by half
    as much keep class, colour, shape and place by eye (EXPERIMENTS.md, "What likeness measures"). The harmonic mean makes a
    lack of either count; likeness alone rewards copies, adherence alone rewards the base (the trade-off of DreamBooth, Ruiz
    et al. 2023, arXiv 2208.12242, section 4). `taste` is the subject type's own unless a plan says otherwise.
    """
    shown = Features(likeness=likeness, adherence=adherence, variety=variety, leakage=leakage)
    return worth(shown, taste or usual_taste(subject_type))


def worth(shown: Features, taste: Taste) -> float:
    """The formula of `utility`."""
    like, adhere = (min(max(x, LEAST), 1.0) for x in (shown.likeness, shown.adherence))
    mean = 1.0 / (taste.likeness / like + (1.0 - taste.likeness) / adhere)
    spread = min(max(shown.variety, 0.0), 1.0) ** taste.variety
    return float(mean * spread * (1.0 - taste.leakage * min(max(shown.leakage, 0.0), 1.0) ** 2))


def slopes(shown: Features, taste: Taste) -> tuple[float, float, float]:
    """How `worth` changes with each number of the taste, in its order.

    None is larger than 1 for the measurements that occur, and all are 0 where the worth is: extreme measurements teach little.
    """
    like, adhere = (min(max(x, LEAST), 1.0) for x in (shown.likeness, shown.adherence))
    mean = 1.0 / (taste.likeness / like + (1.0 - taste.likeness) / adhere)
    kept = min(max(shown.variety, LEAST), 1.0)
    leak = min(max(shown.leakage, 0.0), 1.0) ** 2
    value = worth(shown, taste)
    return (
        value * mean * (1.0 / adhere - 1.0 / like),
        value * math.log(kept),
        -mean * min(max(shown.variety, 0.0), 1.0) ** taste.variety * leak,
    )
