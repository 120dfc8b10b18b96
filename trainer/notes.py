"""What the GPU child says all the time and what is written down once a second: where it is, and its training's log."""

from __future__ import annotations

from storage.database import Database
from storage.tables import Progress, now
from storage.turns import Taken
from trainer import records
from trainer.events import Event, Logged, Progressed


class Notes:
    """Those of one turn that are not written down yet."""

    def __init__(self, taken: Taken) -> None:
        self._taken = taken
        self._progress: Progress | None = None
        self._logged: list[Logged] = []

    def take(self, event: Event | None) -> bool:
        """Keeps an event to write it down; False for one that somebody has to act on, or for none."""
        if isinstance(event, Progressed):
            self._progress = _progress(self._taken, event)
        elif isinstance(event, Logged):
            self._logged.append(event)
        else:
            return False
        return True

    async def write(self, database: Database) -> None:
        """All of it in one transaction, which also notices a cancel. Raises `Stopped`."""
        progress, logged = self._progress, self._logged
        self._progress, self._logged = None, []
        await database.transact(records.note, self._taken, progress, logged)


def _progress(taken: Taken, event: Progressed) -> Progress:
    return Progress(
        order_id=taken.order_id,
        stage=event.stage,
        step=event.step,
        steps=event.steps,
        loss_ratio=event.loss_ratio,
        seconds_left=event.seconds_left,
        updated_at=now(),
    )
