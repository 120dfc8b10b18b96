"""Recipes of others, kept under their names so that benchmarks and plan files can run them; members never see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from storage.domain.orders import SubjectType


@dataclass(frozen=True, kw_only=True)
class Rival:
    """A recipe of others, kept under its name to be compared with; what it leaves open is as in the house's."""

    steps: dict[SubjectType, int] | int | None = None
    """In all; None counts by picture."""
    steps_a_picture: int = 0
    learning_rate: dict[SubjectType, float] | float | None = None
    rank: int | None = None
    optimizer: Literal["adamw", "prodigy"] = "adamw"
    schedule: Literal["constant", "cosine"] | None = None


RIVALS: dict[str, Rival] = {
    # "30-40 a picture at most": 6 pictures 200, 15 pictures 500, 30 pictures 1000
    "seeds-35-a-picture": Rival(steps_a_picture=35),
    "small-set-1250": Rival(steps=1250),  # "up to 20 pictures 1000-1500 steps"
    "hundred-a-picture": Rival(steps_a_picture=100),  # klein: 50 pictures, 5000 steps
    "flux2-community": Rival(
        steps={kind: 3000 if kind is SubjectType.STYLE else 8000 for kind in SubjectType},
        learning_rate={kind: 1.5e-4 if kind is SubjectType.STYLE else 2.5e-5 for kind in SubjectType},
    ),
    "ai-toolkit": Rival(steps=3000, learning_rate=1e-4, rank=32, schedule="constant"),  # its interface's jobConfig.ts
    "replicate-flux": Rival(steps=1000, learning_rate=4e-4, rank=16, schedule="constant"),  # its train.py
    "diffusers-example": Rival(steps=500, learning_rate=1e-4, rank=4, schedule="constant"),  # the README's command line
    "z-image-prodigy": Rival(learning_rate=1.0, optimizer="prodigy"),  # modl.run: AdamW did not converge on Z-Image
}
