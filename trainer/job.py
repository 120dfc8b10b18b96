"""The story of a turn on the GPU: pick, prepare, command the child, keep what it makes, give back.

A turn is one segment of a training (up to its next checkpoint) or one scale sweep. Files are stored before the row that
names them; every row is written only while the turn is still this worker's. So a turn may be cut off anywhere and done again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from storage import disk, turns
from storage.artifacts import Artifacts
from storage.database import Database
from storage.disk import NoRoom, is_full
from storage.domain import space
from storage.domain.errors import Fault, JobFailed, LorasmithError
from storage.domain.orders import attachable_bytes
from storage.domain.plan import Plan
from storage.domain.rungs import TooSmall
from storage.engine import Engine
from storage.faults import gap
from storage.leases import Fence
from storage.turns import Outcome, Taken
from trainer import folder, records
from trainer.child import Child, ChildLost, NeverReady
from trainer.events import (
    DISK_FULL,
    Checkpointed,
    Departed,
    Event,
    Examine,
    Examined,
    Failed,
    Finish,
    Finished,
    Ready,
    Train,
    Trained,
)
from trainer.fit import fit_for
from trainer.folder import Papers
from trainer.notes import Notes
from trainer.records import Fenced, Stopped
from trainer.seat import Seat
from trainer.settings import WorkerSettings

log = logging.getLogger(__name__)

WRITE_AGAIN_S = (0.5, 1.0, 2.0, 4.0, 8.0)
"""The waits after each try to write down how a turn ended."""


class Unwritten(LorasmithError):
    """How a turn ended could not be written down: whoever holds the turn has to go, so that the reaper gives it to others."""


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


async def take_turn(bench: Bench, turn_key: str) -> Taken | None:
    """Do the fairest piece of work that waits, up to its next boundary. None where there is nothing to do.

    Never raises for an order's fault; `CancelledError` ends the child and leaves the piece to be taken again. Raises
    `NeverReady` where this machine cannot work at all: no order is touched for that, and another worker can take it. Raises
    `Unwritten`.
    """
    if not await bench.database.transact(turns.awaited, bench.settings.bases):
        return None
    try:
        await bench.seat.child()
        taken = await _picked(bench, turn_key)
        return None if taken is None else await _done(bench, taken)
    finally:
        bench.seat.rest()


async def _picked(bench: Bench, turn_key: str) -> Taken | None:
    """A row that says "running" is never left behind: where this is cancelled half-way, what was picked is given back."""
    picking = asyncio.ensure_future(
        bench.database.transact(turns.pick, bench.engine, bench.executor_id, bench.settings.bases, turn_key)
    )
    try:
        return await asyncio.shield(picking)
    except asyncio.CancelledError:
        taken = await picking
        if taken is not None:
            await _stop(bench, Turn(taken=taken, folder=bench.settings.work / taken.order_id), "more")
        raise


async def _done(bench: Bench, taken: Taken) -> Taken:
    """The turn, whatever becomes of it. Raises `NeverReady` and `CancelledError`."""
    turn = Turn(taken=taken, folder=bench.settings.work / taken.order_id)
    log.info("turn %s of %s, from step %s", taken.turn, taken.piece_id, taken.step)
    try:
        await _work(bench, turn)
    except Fenced:
        await _stop(bench, turn, "more")
    except Stopped:
        await _stop(bench, turn, "cancelled")
    except asyncio.CancelledError:
        await _stop(bench, turn, "more")
        raise
    except NeverReady:  # it was up before this turn was picked, and died since
        await _stop(bench, turn, "more")
        raise
    except ChildLost as lost:
        if bench.fence.lost:  # it was ended for that
            await _stop(bench, turn, "more")
            return taken
        log.warning("%s (exit %s); its last words:\n%s", lost.reason, lost.returncode, lost.stderr)
        await _fail(bench, turn, JobFailed(Fault.MACHINE, lost.told), retry=True)
    except _Refused as refused:
        await _fail(bench, turn, refused, retry=refused.retry)
    except Exception as error:  # noqa: BLE001 -- an order's fault ends that order alone
        await _broken_off(bench, turn, error)
    return taken


async def _broken_off(bench: Bench, turn: Turn, error: Exception) -> None:
    taken = turn.taken
    if isinstance(error, NoRoom):
        await _fail(bench, turn, JobFailed(Fault.MACHINE, str(error)), retry=False)
    elif is_full(error):
        log.error("the disk is full", exc_info=error)
        await _fail(bench, turn, JobFailed(Fault.MACHINE, DISK_FULL), retry=False)
    elif isinstance(error, OSError):
        log.error("a file of %s failed", taken.order_id, exc_info=error)
        await _fail(bench, turn, JobFailed(Fault.MACHINE, _file_failed(error)), retry=True)
    else:
        log.error("turn %s failed", taken.piece_id, exc_info=error)
        reason = f"something that nobody foresaw ({type(error).__name__}); the worker's log says more"
        await _fail(bench, turn, JobFailed(Fault.PROGRAM, reason), retry=True)


async def _work(bench: Bench, turn: Turn) -> None:
    papers = await bench.database.transact(folder.papers, turn.taken.order_id)
    if turn.taken.kind == "train" and turn.taken.step == 0:
        await asyncio.to_thread(_require_room, bench, papers)
    turn.folder.mkdir(parents=True, exist_ok=True)
    await folder.prepare(turn.folder, papers, bench.artifacts, step=turn.taken.step)
    if turn.taken.kind == "train":
        await _train(bench, turn, papers)
    else:
        await _sweep(bench, turn, papers)


def _require_room(bench: Bench, papers: Papers) -> None:
    """Room for all that an order leaves here, before it begins. Raises `NoRoom`."""
    wanted = {bench.settings.work: space.working_bytes(papers.plan, len(papers.pictures))}
    if bench.artifacts.folder is not None:
        wanted[bench.artifacts.folder] = space.kept_bytes(papers.plan, len(papers.pictures))
    disk.require(wanted)


async def _train(bench: Bench, turn: Turn, papers: Papers) -> None:
    """One segment: up to the next checkpoint, which is stored; then the state; then the turn goes back."""
    until = _next_checkpoint(papers.plan, turn.taken.step)
    if until is None:
        await _segment_over(bench, turn, turn.taken.step, over=True)
        return
    child = await _ready_child(bench, turn, papers)
    if turn.taken.step == 0 and not papers.examined:
        if await _examined(bench, turn, child):
            return
        papers = await bench.database.transact(folder.papers, turn.taken.order_id)
        child = await _ready_child(bench, turn, papers)
    await child.send(Train(folder=str(turn.folder), until=until, logs=bench.settings.logs_of(turn.taken.order_id)))
    async for event in _events(bench, turn, child):
        match event:
            case Checkpointed():
                await _keep_checkpoint(bench, turn, event)
            case Trained():
                await folder.store_state(turn.folder, turn.taken.order_id, event.step, event.state, bench.artifacts)
                await _segment_over(bench, turn, event.step, over=event.step >= papers.plan.steps)
                return
            case _:
                raise _out_of_turn(event)


async def _examined(bench: Bench, turn: Turn, child: Child) -> bool:
    """The look at all pictures before the first step; whether the turn went back to wait for the owner."""
    settings = bench.settings
    await child.send(Examine(folder=str(turn.folder), captioner=settings.captioner, tagger=settings.tagger))
    async for event in _events(bench, turn, child):
        if not isinstance(event, Examined):
            raise _out_of_turn(event)
        return await bench.database.transact(
            records.examined, bench.engine, turn.taken, gpu_s=turn.gpu_s, event=event, wait_s=settings.doctor_wait_s
        )
    raise ChildLost("the GPU child ended while it looked at the pictures")


async def _sweep(bench: Bench, turn: Turn, papers: Papers) -> None:
    """The scale of the chosen checkpoint, and everything that is handed over; then the order goes to the bot."""
    if papers.chosen is None:
        raise _Refused(Fault.PROGRAM, "no checkpoint was chosen", retry=False)
    child = await _ready_child(bench, turn, papers)
    limit = None if papers.order.delivery_way == "download" else attachable_bytes(papers.order.max_file_bytes)
    await child.send(Finish(folder=str(turn.folder), step=papers.chosen.step, max_bytes=limit))
    async for event in _events(bench, turn, child):
        if not isinstance(event, Finished):
            raise _out_of_turn(event)
        keys = await folder.store_delivery(
            turn.folder, turn.taken.order_id, event.files, event.compact_loss, bench.artifacts
        )
        await bench.database.transact(
            records.finished, bench.engine, turn.taken, gpu_s=turn.gpu_s, event=event, files=keys
        )
        return


async def _ready_child(bench: Bench, turn: Turn, papers: Papers) -> Child:
    """A live child, and `job.json` with the fit that suits it, recorded with the attempt."""
    child = await bench.seat.child()
    turn.began = turn.began or time.monotonic()
    before = await bench.database.transact(records.fit_before, turn.taken.order_id)
    try:
        fit = fit_for(papers.plan, bench.seat.device(child), before)
    except TooSmall as small:
        raise _Refused(Fault.MACHINE, str(small), retry=False) from small
    versions = child.ready.versions if child.ready else {}
    await bench.database.transact(records.began, turn.taken, fit, versions)
    folder.write_job(turn.folder, papers, fit=fit, weights=bench.settings.weights(turn.taken.base))
    return child


async def _events(bench: Bench, turn: Turn, child: Child) -> AsyncIterator[Event]:
    """What the child says, one after another; progress is written down here, failures are raised, cancels noticed.

    Raises `Stopped`, `Fenced`, `ChildLost`, `_Refused`.
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
            raise _Refused(Fault(event.fault), event.reason, retry=event.retry)
        if isinstance(event, Departed):
            await bench.database.transact(records.departed, turn.taken, event)
        elif event is not None and not noted:
            yield event


async def _keep_checkpoint(bench: Bench, turn: Turn, event: Checkpointed) -> None:
    """Its files, then its row. A checkpoint that has a row already stays as it is: its grid may be posted."""
    order_id = turn.taken.order_id
    known = await bench.database.transact(records.stored_checkpoint, order_id, event.step)
    if known is not None:
        if known.lora_sha256 != event.lora_sha256:
            log.warning("step %s of %s came out differently when done again; the first is kept", event.step, order_id)
        return
    await folder.store_checkpoint(turn.folder, order_id, event.step, [event.lora, event.grid], bench.artifacts)
    previews = await folder.store_previews(turn.folder, order_id, event.step, event.previews, bench.artifacts)
    gap("artifact-row")
    stored = records.Stored(
        lora=folder.checkpoint_key(order_id, event.step, event.lora),
        grid=folder.checkpoint_key(order_id, event.step, event.grid),
        previews=previews,
    )
    await bench.database.transact(records.checkpointed, turn.taken, event, stored)


async def _segment_over(bench: Bench, turn: Turn, step: int, *, over: bool) -> None:
    kept = await bench.database.transact(
        records.trained, bench.engine, turn.taken, gpu_s=turn.gpu_s, step=step, over=over
    )
    if not kept:
        raise _Refused(Fault.PROGRAM, "the training ended without a checkpoint", retry=False)
    if over:
        await bench.artifacts.delete(f"orders/{turn.taken.order_id}/state")


async def _stop(bench: Bench, turn: Turn, outcome: Outcome) -> None:
    log.info("turn %s of %s is stopped", turn.taken.turn, turn.taken.piece_id)
    await bench.seat.clear()
    await _written(bench, turn, partial(records.ended, outcome=outcome))


async def _fail(bench: Bench, turn: Turn, failed: JobFailed, *, retry: bool) -> None:
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


def _next_checkpoint(plan: Plan, step: int) -> int | None:
    return next((mark for mark in plan.checkpoint_steps if mark > step), None)


def _file_failed(error: OSError) -> str:
    """What the system says of a file, without its place."""
    return f"a file could not be read or written ({error.strerror or type(error).__name__})"


def _out_of_turn(event: Event) -> ChildLost:
    said = "ready again" if isinstance(event, Ready) else event.event
    return ChildLost(f"the GPU child said {said} when nobody asked")


class _Refused(JobFailed):
    """The child said that it cannot do this."""

    def __init__(self, fault: Fault, reason: str, *, retry: bool) -> None:
        super().__init__(fault, reason)
        self.retry = retry
