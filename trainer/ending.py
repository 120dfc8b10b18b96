"""How a turn ends that brings no result: stopped, refused, or broken off; and that its end is written down whatever happens."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from storage.disk import NoRoom, is_full
from storage.domain.errors import Fault, JobFailed, LorasmithError
from storage.turns import Outcome
from trainer import folder, records
from trainer.events import DISK_FULL
from trainer.turn import Bench, Turn

log = logging.getLogger(__name__)

WRITE_AGAIN_S = (0.5, 1.0, 2.0, 4.0, 8.0)
"""The waits after each try to write down how a turn ended."""


class Unwritten(LorasmithError):
    """How a turn ended could not be written down: whoever holds the turn has to go, so that the reaper gives it to others."""


class Refused(JobFailed):
    """This cannot be done here, as the child or the plan of memory says."""

    def __init__(self, fault: Fault, reason: str, *, retry: bool) -> None:
        super().__init__(fault, reason)
        self.retry = retry


async def stop(bench: Bench, turn: Turn, outcome: Outcome) -> None:
    """Nobody's fault: others took over, it was cancelled, or this worker goes. Raises `Unwritten`."""
    log.info("turn %s of %s is stopped", turn.taken.turn, turn.taken.piece_id)
    await bench.seat.clear()
    await _written(bench, turn, partial(records.ended, outcome=outcome))


async def fail(bench: Bench, turn: Turn, failed: JobFailed, *, retry: bool) -> None:
    """The order hears why; `retry` where another turn may help. Raises `Unwritten`."""
    log.warning("turn %s of %s failed: %s (%s)", turn.taken.turn, turn.taken.piece_id, failed.reason, failed.fault)
    if failed.fault is not Fault.PICTURES:
        await bench.seat.clear()  # whatever is wrong with it, the next turn begins with a fresh one
    if failed.reason == DISK_FULL:  # all that matters is in the artifacts: others find room again
        await asyncio.to_thread(folder.remove, bench.settings.work, [turn.taken.order_id])
    await _written(bench, turn, partial(records.failed, fault=failed.fault, reason=failed.reason, retry=retry))


async def _written(bench: Bench, turn: Turn, record: Callable[..., bool]) -> None:
    """Write down how a turn ended, again where that fails: a row that says "running" is taken only from a worker that is gone.

    Raises `Unwritten`.
    """
    gpu_s = turn.gpu_s
    for pause_s in WRITE_AGAIN_S:
        try:
            await bench.database.transact(record, bench.engine, turn.taken, gpu_s=gpu_s)
        except Exception:
            log.exception("the end of %s was not written down; again in %g s", turn.taken.piece_id, pause_s)
            await asyncio.sleep(pause_s)
        else:
            return
    raise Unwritten(f"the end of {turn.taken.piece_id} could not be written down")


async def broken_off(bench: Bench, turn: Turn, error: Exception) -> None:
    """By something that no part of the turn expected: named as far as it can be. Raises `Unwritten`."""
    taken = turn.taken
    if isinstance(error, NoRoom):
        await fail(bench, turn, JobFailed(Fault.MACHINE, str(error)), retry=False)
    elif is_full(error):
        log.error("the disk is full", exc_info=error)
        await fail(bench, turn, JobFailed(Fault.MACHINE, DISK_FULL), retry=False)
    elif isinstance(error, OSError):
        log.error("a file of %s failed", taken.order_id, exc_info=error)
        await fail(bench, turn, JobFailed(Fault.MACHINE, _file_failed(error)), retry=True)
    else:
        log.error("turn %s failed", taken.piece_id, exc_info=error)
        reason = f"something that nobody foresaw ({type(error).__name__}); the worker's log says more"
        await fail(bench, turn, JobFailed(Fault.PROGRAM, reason), retry=True)


def _file_failed(error: OSError) -> str:
    """What the system says of a file, without its place."""
    return f"a file could not be read or written ({error.strerror or type(error).__name__})"
