"""The story of a turn on the GPU: pick, prepare, command the child, keep what it makes, give back.

A turn is one segment of a training (up to its next checkpoint) or one scale sweep. Files are stored before the row that
names them; every row is written only while the turn is still this worker's. So a turn may be cut off anywhere and done again.
"""

from __future__ import annotations

import asyncio
import logging
import time

from storage import disk, logs, turns
from storage.domain import space
from storage.domain.errors import Fault, JobFailed
from storage.domain.observers import BEFORE
from storage.domain.orders import attachable_bytes
from storage.domain.rungs import TooSmall
from storage.domain.stopping import marks
from storage.faults import gap
from storage.turns import Taken
from trainer import folder, records
from trainer.child import Child, ChildLost, NeverReady
from trainer.ending import Refused, broken_off, fail, stop
from trainer.events import Checkpointed, Examine, Examined, Finish, Finished, Train, Trained
from trainer.fit import fit_for
from trainer.folder import Papers
from trainer.hearing import events, out_of_turn
from trainer.records import Fenced, Stopped
from trainer.turn import Bench, Turn

log = logging.getLogger(__name__)


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
        if taken is None:
            return None
        with logs.about(taken.order_id):
            return await _done(bench, taken)
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
            await stop(bench, Turn(taken=taken, folder=bench.settings.work / taken.order_id), "more")
        raise


async def _done(bench: Bench, taken: Taken) -> Taken:
    """The turn, whatever becomes of it. Raises `NeverReady` and `CancelledError`."""
    turn = Turn(taken=taken, folder=bench.settings.work / taken.order_id)
    log.info("turn %s of %s, from step %s", taken.turn, taken.piece_id, taken.step)
    try:
        await _work(bench, turn)
    except Fenced:
        await stop(bench, turn, "more")
    except Stopped:
        await stop(bench, turn, "cancelled")
    except asyncio.CancelledError:
        await stop(bench, turn, "more")
        raise
    except NeverReady:  # it was up before this turn was picked, and died since
        await stop(bench, turn, "more")
        raise
    except ChildLost as lost:
        if bench.fence.lost:  # it was ended for that
            await stop(bench, turn, "more")
            return taken
        log.warning("%s (exit %s); its last words:\n%s", lost.reason, lost.returncode, lost.stderr)
        await fail(bench, turn, JobFailed(Fault.MACHINE, lost.told), retry=True)
    except Refused as refused:
        await fail(bench, turn, refused, retry=refused.retry)
    except Exception as error:  # noqa: BLE001 -- an order's fault ends that order alone
        await broken_off(bench, turn, error)
    return taken


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
    ahead = [mark for mark in marks(papers.plan, papers.departures) if mark > turn.taken.step]
    if not ahead:
        await _segment_over(bench, turn, turn.taken.step)
        return
    until = ahead[0]
    child = await _ready_child(bench, turn, papers)
    if turn.taken.step == 0 and not papers.examined:
        if await _examined(bench, turn, child):
            return
        papers = await bench.database.transact(folder.papers, turn.taken.order_id)
        child = await _ready_child(bench, turn, papers)
    await child.send(Train(folder=str(turn.folder), until=until, logs=bench.settings.logs_of(turn.taken.order_id)))
    async for event in events(bench, turn, child):
        match event:
            case Checkpointed():
                await _keep_checkpoint(bench, turn, event)
            case Trained():
                await folder.store_state(turn.folder, turn.taken.order_id, event.step, event.state, bench.artifacts)
                await _segment_over(bench, turn, event.step)
                return
            case _:
                raise out_of_turn(event)


async def _examined(bench: Bench, turn: Turn, child: Child) -> bool:
    """The look at all pictures before the first step; whether the turn went back to wait for the owner."""
    settings = bench.settings
    gpu = bench.seat.device(child).kind != "cpu"
    lookers = {task: settings.observer(task, gpu=gpu) for task in BEFORE}
    await child.send(Examine(folder=str(turn.folder), **lookers))
    async for event in events(bench, turn, child):
        if not isinstance(event, Examined):
            raise out_of_turn(event)
        return await bench.database.transact(
            records.examined, bench.engine, turn.taken, gpu_s=turn.gpu_s, event=event, wait_s=settings.doctor_wait_s
        )
    raise ChildLost("the GPU child ended while it looked at the pictures")


async def _sweep(bench: Bench, turn: Turn, papers: Papers) -> None:
    """The scale of the chosen checkpoint, and everything that is handed over; then the order goes to the bot."""
    if papers.chosen is None:
        raise Refused(Fault.PROGRAM, "no checkpoint was chosen", retry=False)
    child = await _ready_child(bench, turn, papers)
    limit = None if papers.order.delivery_way == "download" else attachable_bytes(papers.order.max_file_bytes)
    await child.send(Finish(folder=str(turn.folder), step=papers.chosen.step, max_bytes=limit))
    async for event in events(bench, turn, child):
        if not isinstance(event, Finished):
            raise out_of_turn(event)
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
        fit = fit_for(papers.plan, bench.seat.device(child), before, pictures=len(papers.pictures))
    except TooSmall as small:
        raise Refused(Fault.MACHINE, str(small), retry=False) from small
    versions = child.ready.versions if child.ready else {}
    await bench.database.transact(records.began, turn.taken, fit, versions)
    weights, eyes = bench.settings.weights(turn.taken.base), bench.settings.eyes
    folder.write_job(turn.folder, papers, fit=fit, weights=weights, eyes=eyes)
    return child


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


async def _segment_over(bench: Bench, turn: Turn, step: int) -> None:
    """The turn goes back; after the last one the state is of no more use."""
    over = await bench.database.transact(records.trained, bench.engine, turn.taken, gpu_s=turn.gpu_s, step=step)
    if over is None:
        raise Refused(Fault.PROGRAM, "the training ended without a checkpoint", retry=False)
    if over:
        await bench.artifacts.delete(f"orders/{turn.taken.order_id}/state")
