"""The log of a training: an event every ten steps and, where a folder is named, TensorBoard's event files.

TensorBoard takes a file that begins with a session's start at step n as: what an earlier file of this run says from n on does
not count (`SessionLog`, https://github.com/tensorflow/tensorboard/blob/master/tensorboard/backend/event_processing/event_accumulator.py).
So a run that is resumed, or goes back to its last state, leaves no doubles.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
import weakref
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import torch

from storage.domain.measurement import Measurement
from storage.domain.training_log import EVERY, Entry
from trainer.events import Logged
from trainer.gpu.channel import Channel
from trainer.gpu.loop import StepLoss

if TYPE_CHECKING:
    from tensorboardX.event_file_writer import EventsWriter

CURVES = ("loss", "loss_ratio", "learning_rate", "steps_per_s", "memory_mib")
MEASURED = (
    *("validation_ratio", "validation_error", "training_ratio", "likeness", "second_likeness", "adherence", "variety"),
    *("leakage", "memorisation", "saturation", "sharpness", "utility"),
)


class Log:
    """What one process writes of one training."""

    def __init__(self, channel: Channel, device: str, folder: Path | None) -> None:
        self._channel, self._device = channel, device
        self._board = Board(folder) if folder else None
        self._seconds, self._count = 0.0, 0

    def begin(self, step: int) -> None:
        """The training stands after `step` steps; what was said of later ones does not count."""
        self._seconds, self._count = 0.0, 0
        if self._board:
            self._board.begin(step + 1)

    def stepped(self, step: int, loss: StepLoss, *, ratio: float, rate: float, seconds: float) -> None:
        """One step was done, and how long it took."""
        self._seconds, self._count = self._seconds + seconds, self._count + 1
        if step % EVERY:
            return
        entry = Entry(
            step=step,
            loss=sum(loss.plain_B) / len(loss.plain_B),
            loss_ratio=ratio,
            learning_rate=rate,
            steps_per_s=round(self._count / max(self._seconds, 1e-9), 4),
            memory_mib=memory_mib(self._device),
        )
        self._seconds, self._count = 0.0, 0
        self._channel.tell(Logged(**asdict(entry)))
        if self._board:
            self._board.write(step, {f"train/{name}": getattr(entry, name) for name in CURVES})

    def measured(self, step: int, measurement: Measurement) -> None:
        """A checkpoint was measured; it goes to TensorBoard alone: its own event tells the rest."""
        known = {f"checkpoint/{n}": value for n in MEASURED if (value := getattr(measurement, n)) is not None}
        if self._board:
            self._board.write(step, known)


class Board:
    """TensorBoard's event files of one run. A disk that is full ends them and nothing else."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: EventsWriter | None = None
        self._lost = False

    def begin(self, step: int) -> None:
        """A session starts: earlier values from `step` on are void."""
        from tensorboardX.proto.event_pb2 import Event, SessionLog  # noqa: PLC0415 -- an extra that is seldom wanted

        self._put(Event(wall_time=time.time(), step=step, session_log=SessionLog(status=SessionLog.START)))

    def write(self, step: int, values: dict[str, float]) -> None:
        """Numbers of one step by name, on disk when this returns."""
        from tensorboardX.proto.event_pb2 import Event  # noqa: PLC0415 -- as above
        from tensorboardX.proto.summary_pb2 import Summary  # noqa: PLC0415 -- as above

        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
        self._put(Event(wall_time=time.time(), step=step, summary=summary))

    def _put(self, event: object) -> None:
        if self._lost:
            return
        try:
            self._writer = self._writer or self._opened()
            self._writer.write_event(event)
            self._writer.flush()
        except OSError as error:
            self._lost = True
            print(f"no TensorBoard files any more: {type(error).__name__}", file=sys.stderr)  # noqa: T201 -- stderr is the log

    def _opened(self) -> EventsWriter:
        """A file of this process's own: names go by the second and the process, and are read in their order."""
        from tensorboardX.event_file_writer import EventsWriter  # noqa: PLC0415 -- as above

        self._folder.mkdir(parents=True, exist_ok=True)
        writer = EventsWriter(str(self._folder / "events"), f".{os.getpid()}.{time.monotonic_ns()}")
        weakref.finalize(self, _close, writer)
        return writer


def _close(writer: EventsWriter) -> None:
    """The training was dropped; all is on disk already."""
    with contextlib.suppress(OSError):
        writer.close()


def memory_mib(device: str) -> int:
    """The peak of this process's tensors on the GPU, or the memory that the process holds (MiB)."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() >> 20
    return int(psutil.Process().memory_info().rss) >> 20
