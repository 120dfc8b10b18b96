"""A turn under way, and what it works with."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from storage.artifacts import Artifacts
from storage.database import Database
from storage.engine import Engine
from storage.leases import Fence
from storage.turns import Taken
from trainer.seat import Seat
from trainer.settings import WorkerSettings


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What every turn of this worker works with."""

    settings: WorkerSettings
    database: Database
    engine: Engine
    artifacts: Artifacts
    seat: Seat
    fence: Fence
    executor_id: str


@dataclass(kw_only=True)
class Turn:
    """A turn under way."""

    taken: Taken
    folder: Path
    began: float | None = None
    """When the child was there to work; its start is nobody's fault and charged to nobody."""

    @property
    def gpu_s(self) -> float:
        """What it cost so far."""
        return 0.0 if self.began is None else round(time.monotonic() - self.began, 3)
