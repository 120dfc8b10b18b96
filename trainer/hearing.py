"""What the GPU child says during a turn: progress is written down, silence is noticed, failures are raised."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator

from storage.domain.errors import Fault
from trainer import records
from trainer.child import Child, ChildLost
from trainer.ending import Refused
from trainer.events import Departed, Event, Failed, Ready
from trainer.notes import Notes
from trainer.records import Fenced
from trainer.turn import Bench, Turn

log = logging.getLogger(__name__)


async def events(bench: Bench, turn: Turn, child: Child) -> AsyncIterator[Event]:
    """What the child says, one after another; progress is written down here, failures are raised, cancels noticed.

    Raises `Stopped`, `Fenced`, `ChildLost`, `Refused`.
    """
    settings = bench.settings
    heard = looked = time.monotonic()
    stalled, notes = False, Notes(turn.taken)
    while True:
        event = await child.hear(settings.watch_s)
        at = time.monotonic()
        noted = notes.take(event)
        if bench.fence.lost:
            raise Fenced
        if at - looked >= settings.watch_s or (event and not noted):
            await notes.write(bench.database)
            looked = at
        if event is not None:
            heard, stalled = at, False
        elif at - heard > settings.hang_s:
            raise ChildLost(f"the GPU child said nothing for {settings.hang_s:.0f} s", stderr=child.stderr)
        elif at - heard > settings.stall_s and not stalled:
            stalled = True
            log.warning("no word from the GPU child for %.0f s", at - heard)
            await bench.database.transact(records.silent, turn.taken)
        if isinstance(event, Failed):
            raise Refused(Fault(event.fault), event.reason, retry=event.retry)
        if isinstance(event, Departed):
            await bench.database.transact(records.departed, turn.taken, event)
        elif event is not None and not noted:
            yield event


def out_of_turn(event: Event) -> ChildLost:
    """What the child said is not what it was asked for."""
    said = "ready again" if isinstance(event, Ready) else event.event
    return ChildLost(f"the GPU child said {said} when nobody asked")
