"""What is wrong with pictures, and what would help: proposals only, the owner decides.

Findings of one picture come from the numbers that `storage.symptoms` measures before Start; findings of the whole set, from
what the judge sees (`trainer/gpu/doctor.py`), are of the same type.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

LEAST_SHARPNESS = 1.0
"""Sharp photographs and drawings measure 1.4 and more, a blur of one pixel at the size that is learned 1.08 at most."""
MOST_LETTERING = 0.21
"""Pictures without print measure 0.17 at most, half of the lines of print that were laid over photographs more than this."""
LEAST_FRAME = 0.03
"""Share of the area; a thinner line is cut off or does no harm."""
MOST_ENLARGED = 1.5
"""How often wider a picture may have to be made for the base; beyond that more is made up than seen."""
LONGEST = 2.25
"""Buckets reach from 1:2 to 2:1 (`trainer.gpu.pictures.shapes`): of a longer picture more than a tenth is cut off."""


class Ailment(StrEnum):
    """What a picture, or a set of pictures, suffers from. The values are kept in rows."""

    BLURRED = "blurred"
    SMALL = "small"
    LONG = "long"
    LETTERING = "lettering"
    FRAMED = "framed"
    OUTLIER = "outlier"
    MIXED = "mixed"
    ONE_BACKGROUND = "one_background"
    KNOWN_WORD = "known_word"
    FACELESS = "faceless"


PROPOSES_TO_DROP = frozenset({Ailment.BLURRED, Ailment.LETTERING, Ailment.FRAMED, Ailment.OUTLIER, Ailment.FACELESS})
"""What makes a picture worth leaving out; of the others the owner is told, and better pictures are asked for."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing about one picture; about the whole set where it says so."""

    ailment: Ailment
    measure: float
    """What was measured: see the limits above; for SMALL how often wider it has to be made, for LONG the share cut off; for
    KNOWN_WORD into how many pieces the base cuts it."""
    word: str = ""
    """The trigger, where one of several is a word that the base knows."""


def examined(symptoms: Mapping[str, float], *, width: int, height: int, learned_px: int) -> tuple[Finding, ...]:
    """The findings of one picture; `learned_px` is the side of the square that the base learns at."""
    enlarged = learned_px / max(1.0, (width * height) ** 0.5)
    lengthy = max(width, height) / max(1, min(width, height))
    checks = (
        (Ailment.BLURRED, symptoms["sharpness"] < LEAST_SHARPNESS, symptoms["sharpness"]),
        (Ailment.LETTERING, symptoms["lettering"] > MOST_LETTERING, symptoms["lettering"]),
        (Ailment.FRAMED, symptoms["frame"] > LEAST_FRAME, symptoms["frame"]),
        (Ailment.SMALL, enlarged > MOST_ENLARGED, enlarged),
        (Ailment.LONG, lengthy > LONGEST, 1.0 - 2.0 / lengthy),
    )
    return tuple(Finding(ailment=a, measure=round(measure, 3)) for a, ill, measure in checks if ill)


def worth_dropping(findings: Sequence[Finding]) -> bool:
    """Whether leaving the picture out is proposed."""
    return any(f.ailment in PROPOSES_TO_DROP for f in findings)


def to_json(findings: Sequence[Finding]) -> str:
    """As kept in a row."""
    return json.dumps([{k: v for k, v in asdict(f).items() if v != ""} for f in findings])


def from_json(text: str) -> tuple[Finding, ...]:
    """The inverse of `to_json`."""
    return tuple(
        Finding(ailment=Ailment(f["ailment"]), measure=float(f["measure"]), word=f.get("word", ""))
        for f in json.loads(text)
    )
