"""What supervisor and GPU child say to each other: one JSON object a line, commands down, events up.

Both ends check every line against these models. An unknown field or kind is an error of the program, never ignored. Paths
are relative to the job folder.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from storage.domain.fit import DepartureKind, DeviceKind
from trainer.comparison import EyeName, Scored

MAX_LINE_BYTES = 1 << 20
"""A longer line ends the child: something else is writing to the pipe."""

GPU_HELD = 3
"""Exit code of a child that waited in vain for another program to let go of the GPU."""


DISK_FULL = "the disk of the machine that trains is full"
"""What a full disk is called by the child and by its supervisor."""


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
"""Of a picture's width or height."""
FaceBox = tuple[Share, Share, Share, Share]
"""Left, top, right and bottom of a face."""


# --- commands: supervisor -> child


class Train(_Line):
    """Train the job in `folder` up to and including the checkpoint at `until`, from the newest stored state."""

    command: Literal["train"] = "train"
    folder: str
    until: int
    logs: str = ""
    """Folder for TensorBoard's event files of this order; empty writes none."""


class Examine(_Line):
    """Look at all pictures of the job in `folder` before its first step."""

    command: Literal["examine"] = "examine"
    folder: str
    captioner: str = ""
    """Folder of a captioner's weights; empty says nothing about pictures."""
    tagger: str = ""
    """Folder of a tagger; used where there is no captioner."""
    faces: str = ""
    """File of a face detector; empty looks for no faces."""


class Finish(_Line):
    """Measure the scale of the checkpoint at `step` and write everything that is handed over."""

    command: Literal["finish"] = "finish"
    folder: str
    step: int
    max_bytes: int | None
    """Write a compact version too, if the file is larger than this; None never."""


class Evaluate(_Line):
    """Draw and measure the LoRAs of the comparison in `folder`: `trainer.comparison`."""

    command: Literal["evaluate"] = "evaluate"
    folder: str


class Quit(_Line):
    """End now."""

    command: Literal["quit"] = "quit"


Command = Annotated[Train | Examine | Finish | Evaluate | Quit, Field(discriminator="command")]
COMMAND: TypeAdapter[Train | Examine | Finish | Evaluate | Quit] = TypeAdapter(Command)


# --- events: child -> supervisor


class Ready(_Line):
    """The child is up and waits for a command."""

    event: Literal["ready"] = "ready"
    pid: int
    device: str
    """Its name; cpu where there is nothing else."""
    versions: dict[str, str]
    kind: DeviceKind | None = None
    """None where the child does not say: a device that is not cpu is taken for cuda."""
    memory_gib: float | None = None
    """Of the GPU."""
    bf16: bool = True
    """Whether the device computes in bf16 by itself."""
    notes: list[str] = []
    """What the operator should know of the device: what it cannot do, and what is done instead."""


class Progressed(_Line):
    """Where the work is; at most one a second."""

    event: Literal["progressed"] = "progressed"
    stage: Literal["loading", "caching", "training", "exporting", "previewing", "measuring", "sweeping", "packing"]
    step: int
    steps: int
    loss_ratio: float | None = None
    """Newest training loss over the base's loss, smoothed."""
    seconds_left: float | None = None
    """Of the whole training, by the pace so far."""


class Logged(_Line):
    """An entry of the training's log, every ten steps: the fields of `storage.domain.training_log.Entry`."""

    event: Literal["logged"] = "logged"
    step: int
    loss: float
    loss_ratio: float
    learning_rate: float
    steps_per_s: float
    memory_mib: int


class Departed(_Line):
    """The run left its plan; the supervisor stores it before anything later."""

    event: Literal["departed"] = "departed"
    step: int
    kind: DepartureKind
    ordinal: int = 0
    """How many of this kind came at this step before: a run that is done again says the same, and it is kept once."""
    reason: str


class Preview(_Line):
    """One drawn preview."""

    file: str
    row: int
    """Index of its prompt in the plan."""
    seed: int
    base: bool
    """Drawn without the LoRA."""


class Checkpointed(_Line):
    """A checkpoint is on disk, exported, read back, drawn and measured."""

    event: Literal["checkpointed"] = "checkpointed"
    step: int
    lora: str
    lora_sha256: str
    lora_bytes: int
    grid: str
    previews: list[Preview]
    measurement: str
    """`Measurement.to_json()`."""


class Trained(_Line):
    """The segment is over and its state is on disk."""

    event: Literal["trained"] = "trained"
    step: int
    state: str
    """Folder with the resume state."""
    seconds: float


class Examined(_Line):
    """All pictures were looked at; nothing was changed."""

    event: Literal["examined"] = "examined"
    pictures: dict[str, str]
    """Findings by picture id: `storage.domain.doctor.to_json`."""
    whole: str
    """Findings of the set."""
    captions: dict[str, str]
    """By picture id: what was said of pictures without words of their own."""
    trigger_like: str | None = None
    trigger_pieces: int = 0
    """Into how many pieces the base cuts the trigger, at least; 0 where nobody could say."""
    faces: dict[str, FaceBox] = {}
    """By picture id: the largest face, where one was found."""


class Finished(_Line):
    """The scale is measured and the files of the delivery are on disk."""

    event: Literal["finished"] = "finished"
    scale: str
    """`ScaleChoice.to_json()`."""
    files: dict[str, str]
    """By role: lora, sidecar, preview, strip, and compact where one was wanted and can be so small."""
    compact_loss: float | None = None
    """Share of the adapter's energy that the compact version lost."""
    seconds: float


class Evaluated(_Line):
    """All LoRAs of a comparison are drawn and measured; pictures and grid are on disk."""

    event: Literal["evaluated"] = "evaluated"
    scores: list[Scored]
    """In the order of the entrants."""
    eyed: bool
    """Whether there was an encoder to measure with."""
    seconds: float
    """Of this run alone."""


class Failed(_Line):
    """The command could not be carried out. The child stays up unless it says otherwise by ending."""

    event: Literal["failed"] = "failed"
    fault: Literal["pictures", "machine", "program"]
    reason: str
    """For the operator's log and, shortened, for the member; no paths of other orders, no secrets."""
    retry: bool
    """Whether another turn may succeed where this one did not (out of memory, disk full)."""


Event = Annotated[
    Ready | Progressed | Logged | Departed | Checkpointed | Trained | Examined | Finished | Evaluated | Failed,
    Field(discriminator="event"),
]
EVENT: TypeAdapter[
    Ready | Progressed | Logged | Departed | Checkpointed | Trained | Examined | Finished | Evaluated | Failed
] = TypeAdapter(Event)


class JobPicture(_Line):
    """One picture of the job."""

    id: str
    file: str
    held_out: bool
    caption: str = ""
    """What it is called in every view; empty draws one of the plan's templates."""
    face: FaceBox | None = None
    """Its largest face, which no crop cuts; None where none was found or looked for."""


class Job(_Line):
    """`job.json` in a job folder: all that the child knows of an order."""

    order_id: str
    name: str
    stem: str
    """File name of the LoRA without ending."""
    date: str
    """ISO date for the file's header: the day of the order's Start, never the clock's."""
    plan: str
    """`Plan.to_json()`."""
    fit: str
    """`Fit.to_json()`."""
    departures: list[Departed]
    pictures: list[JobPicture]
    base: str
    """Folder or hub id of the base model's weights."""
    eyes: dict[EyeName, str] = {}
    """Where the judge's models are, for bases without a judge of their own; empty judges by losses alone."""
