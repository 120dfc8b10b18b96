"""The child's end of the pipe: events up, one JSON line each, on a descriptor that no library knows."""

from __future__ import annotations

import os
import time
from typing import Literal

from trainer.events import MAX_LINE_BYTES, Event, Progressed

Stage = Literal["loading", "caching", "training", "exporting", "previewing", "measuring", "sweeping", "packing"]
PROGRESS_EVERY_S = 1.0


class Channel:
    """Writes events; progress at most once a second."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._told_at = float("-inf")

    def tell(self, event: Event) -> None:
        """Sends one event, whole. Raises `ValueError` for one that no reader would take."""
        line = event.model_dump_json().encode() + b"\n"
        if len(line) > MAX_LINE_BYTES:
            raise ValueError("an event is too long")
        while line:
            line = line[os.write(self._descriptor, line) :]

    def progress(
        self,
        stage: Stage,
        step: int,
        steps: int,
        *,
        loss_ratio: float | None = None,
        seconds_left: float | None = None,
    ) -> None:
        """Says where the work is, unless that was said less than a second ago."""
        now = time.monotonic()
        if now - self._told_at < PROGRESS_EVERY_S:
            return
        self._told_at = now
        self.tell(Progressed(stage=stage, step=step, steps=steps, loss_ratio=loss_ratio, seconds_left=seconds_left))
