"""`evaluation.json`: all that the child knows of a comparison of LoRAs; and what it measured."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

FILE = "evaluation.json"
"""In the hidden folder `HOME` of the comparison's folder."""
HOME = ".lorasmith"
MAX_BYTES = 1 << 22
GRID = "grid.png"

Text = Annotated[str, Field(min_length=1, max_length=1000)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Call(_Strict):
    """The prompts with the words of one subject: contestants that share them are held against the same pictures of the base."""

    texts: list[Text]
    """As drawn."""
    plains: list[Text]
    """With the class word for the trigger."""


class Entrant(_Strict):
    """What draws: a LoRA at a scale, or the base alone."""

    key: Annotated[str, Field(pattern=r"[a-z0-9][a-z0-9-]{0,80}")]
    """Name of its folder under `drawn`."""
    name: Text
    """Above its column."""
    call: Annotated[int, Field(ge=0)]
    lora: str = ""
    """Absolute path of the file; empty is the base."""
    sha256: str = ""
    scale: Annotated[float, Field(ge=-4.0, le=4.0, allow_inf_nan=False)] = 1.0


EyeName = Literal["judge", "likeness", "identity", "faces"]
"""What a judge is made of, as `storage.domain.observers` names it."""


class Comparison(_Strict):
    """Everything that is drawn and held against each other."""

    base: str
    source: str
    """Folder or hub id of the base's weights."""
    fit: str
    """`Fit.to_json()`."""
    resolution: Annotated[int, Field(ge=16, le=4096)]
    preview_steps: Annotated[int, Field(ge=1, le=100)]
    guidance: Annotated[float, Field(ge=0.0, le=30.0)]
    seeds: Annotated[list[list[Annotated[int, Field(ge=0, lt=2**31)]]], Field(min_length=1, max_length=200)]
    """Of every prompt."""
    labels: list[Text]
    """Beside the rows of the grid."""
    calls: Annotated[list[Call], Field(min_length=1, max_length=8)]
    entrants: Annotated[list[Entrant], Field(min_length=1, max_length=16)]
    """In the order of the columns; of every call one is the base alone."""
    pictures: Annotated[list[str], Field(max_length=40)]
    """The training pictures, relative to the folder."""
    eyes: dict[EyeName, str] = {}
    """Where the judge's models are, for bases without a judge of their own."""


class Scored(_Strict):
    """What was measured of an entrant, a number a prompt: the fields of `storage.evaluation.Scores`. Empty: not measured."""

    key: str
    pictures: int
    seconds: float
    text: list[Finite] = []
    picture: list[Finite] = []
    likeness: list[Finite] = []
    contrast: list[Finite] = []
    spread: list[Finite] = []
