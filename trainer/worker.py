"""A worker: `python -m trainer.worker`. Takes turns on one GPU until it is told to stop. Everything is wired here.

SIGTERM or SIGINT: it takes no further turn, ends the present one at its boundary, says so, and goes. A second signal ends the
child at once; what it was doing is done again by whoever takes the turn next, from the last checkpoint.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import uuid
from collections.abc import AsyncIterator
from datetime import datetime

from pydantic import ValidationError
from sqlmodel import Session, col, select

from storage import leases, logs, turns
from storage.artifacts import Artifacts
from storage.database import Database, require_current
from storage.domain.errors import NotMigrated, SetupError
from storage.domain.lifecycle import TABLE, Stage
from storage.engine import Engine
from storage.hub import token_of_environment
from storage.leases import Fence
from storage.options import Options
from storage.reaper import reap
from storage.settings import wrong_settings
from storage.system import on_signals
from storage.tables import Order
from trainer import folder
from trainer.child import NeverReady
from trainer.ending import Unwritten
from trainer.hours import closed_by_clock, closed_by_others, others_mib, spans
from trainer.job import take_turn
from trainer.seat import Seat
from trainer.settings import WorkerSettings, gpu_memory_gib, gpu_name, main_memory_gib
from trainer.turn import Bench
from trainer.weights import missing, present

log = logging.getLogger("trainer.worker")

SAYS = (
    "Run a worker alone: it takes turns on one GPU (or, for the pocket, on the processor) until it is told to stop. Start one for "
    "every GPU, on as many machines as you like; they share the bot's database and artifacts. Ctrl-C or SIGTERM lets it finish "
    "its step and save; a second one ends it at once."
)
MIGRATION_LOOK_S = 2.0
TIDY_BEATS = 12
"""Every so many beats the folders of ended orders are removed."""


class Worker:
    """One supervisor of one GPU."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self._draining = asyncio.Event()
        self._turn: asyncio.Task[None] | None = None
        self._broken: NeverReady | None = None
        self._unwritten: Unwritten | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._hours = spans(bench.settings.gpu_hours)
        self._closed = ""
        """Why the GPU is not this worker's now, in words."""
        self._looking: asyncio.Task[bool] | None = None

    async def run(self) -> None:
        """Work until drained. Raises `SetupError` where this worker may not or cannot work here, and `Unwritten`."""
        await self._prove()
        await self._beat()
        self.bench.engine.handle_turn(self._take)
        await self.bench.engine.launch()
        log.info("worker %s serves %s", self.bench.executor_id, ", ".join(self.bench.settings.bases))
        beats = asyncio.create_task(self._beat_for_ever())
        try:
            await self._draining.wait()
            await self._idle.wait()
        finally:
            await self._close(beats)
        if self._unwritten is not None:
            raise self._unwritten
        if self._broken is not None:
            raise SetupError(str(self._broken))

    async def _prove(self) -> None:
        try:
            await self.bench.seat.prove()
        except NeverReady as broken:
            raise SetupError(str(broken)) from broken

    def drain(self) -> None:
        """Told to stop: once, at the boundary; twice, at once."""
        if self._draining.is_set():
            log.warning("stopping at once; the turn will be taken again from its last checkpoint")
            if self._turn is not None:
                self._turn.cancel()
            return
        if self._idle.is_set():
            log.info("stopping; nothing is running")
        else:
            log.info("stopping at the next checkpoint; press Ctrl-C or send SIGTERM again to stop at once")
        self._draining.set()

    async def _take(self, turn_key: str) -> None:
        """The engine hands over a turn. While draining it is used up; `ensure_turns` makes up for it."""
        if self._draining.is_set() or await self._is_closed():
            return
        self._idle.clear()
        self._turn = asyncio.current_task()
        try:
            await take_turn(self.bench, turn_key)
        except NeverReady as broken:  # the same would happen at every turn; others may do better
            log.error("%s; its last words:\n%s", broken.reason, broken.stderr)  # noqa: TRY400  # the words say more than the stack
            self._broken = broken
            self._draining.set()
        except Unwritten as unwritten:
            log.error("%s; this worker goes, and its turns are given to others", unwritten)  # noqa: TRY400  # each try was logged
            self._unwritten = unwritten
            self._draining.set()
        finally:
            self._turn = None
            self._idle.set()

    async def _beat_for_ever(self) -> None:
        """Say that this worker lives, reap the dead, make up for turns that were used up, tidy. One failure is no end."""
        bench, beats = self.bench, 0
        while True:
            await asyncio.sleep(bench.settings.beat_s)
            try:
                async with asyncio.timeout(bench.settings.lease_s):
                    await self._beat()
                    for name in await reap(bench.database, bench.engine):
                        log.warning("worker %s is gone; its turns are given to others", name)
                    self._look_aside()
                    if self._closed:
                        await bench.seat.leave_if_idle(0)
                    elif not self._draining.is_set():
                        await bench.database.transact(turns.ensure_turns, bench.engine, bench.settings.bases)
                    if beats % TIDY_BEATS == 0:
                        await self._tidy()
                    beats += 1
                    await bench.seat.leave_if_idle(bench.settings.idle_s)
            except Exception as error:  # noqa: BLE001  # a database that is away comes back; the fence watches over the time until then
                log.warning("could not say that this worker lives: %s", type(error).__name__)
            if bench.fence.lost:
                await bench.seat.clear()

    def _look_aside(self) -> None:
        """Whose the GPU is, for the next beat: a driver that takes its time to answer must not cost the lease."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._is_closed())

    async def _is_closed(self) -> bool:
        """Whether the GPU is for others now; said when it changes. Until then `ensure_turns` makes up for no turn."""
        settings, why = self.bench.settings, closed_by_clock(self._hours, datetime.now().astimezone())
        if not why and settings.give_way_mib is not None:
            held = await asyncio.to_thread(others_mib, gpu_name(settings.gpu), self.bench.seat.pid)
            why = closed_by_others(held, settings.give_way_mib)
        if bool(why) != bool(self._closed):
            log.info("%s", f"{why}; orders wait" if why else "the graphics card is this worker's again")
        self._closed = why
        return bool(why)

    async def _beat(self) -> None:
        bench = self.bench
        sent = bench.fence.sending()
        await bench.database.transact(
            leases.beat,
            bench.executor_id,
            bench.executor_id,
            "worker",
            bench.settings.lease_s,
            detail={"bases": list(bench.settings.bases), "device": bench.settings.device, "closed": self._closed},
        )
        bench.fence.beaten(sent)

    async def _tidy(self) -> None:
        """Members' pictures stay here no longer than their order needs them."""
        ended = await self.bench.database.transact(_ended, folder.orders_in(self.bench.settings.work))
        await asyncio.to_thread(folder.remove, self.bench.settings.work, ended)

    async def _close(self, beats: asyncio.Task[None]) -> None:
        await self.bench.seat.leave()
        for task in filter(None, (beats, self._looking)):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self._unwritten is not None:  # its lease runs out: that is what the reaper goes by
            await self.bench.engine.close()
            return
        await self.bench.database.transact(turns.ensure_turns, self.bench.engine)
        await self.bench.engine.close()
        await self.bench.database.transact(leases.drop, self.bench.executor_id, self.bench.executor_id)
        log.info("stopped")


def _ended(session: Session, order_ids: list[str]) -> list[str]:
    """Those of these orders that no worker needs files of any more."""
    found = session.exec(select(Order.id, Order.stage).where(col(Order.id).in_(order_ids))).all()
    stages = dict(found)
    going_on = {stage.value for stage, row in TABLE.items() if row.next and stage is not Stage.FAILED}
    return [id_ for id_ in order_ids if stages.get(id_) not in going_on]


@contextlib.asynccontextmanager
async def opened(settings: WorkerSettings, executor_id: str, *, serves: bool = True) -> AsyncIterator[Bench]:
    """Everything that turns need, closed at the end."""
    database = Database(settings)
    try:
        settings.work.mkdir(parents=True, exist_ok=True)
        yield Bench(
            settings=settings,
            database=database,
            engine=Engine(settings, database, executor_id, ("gpu",) if serves else ()),
            artifacts=Artifacts(settings),
            seat=Seat(
                settings.launch(),
                memory_gib=gpu_memory_gib(settings.gpu),
                main_gib=main_memory_gib(),
                deterministic=settings.deterministic,
                need_gpu=settings.need_gpu,
            ),
            fence=Fence(settings.lease_s),
            executor_id=executor_id,
        )
    finally:
        database.close()


def executor_id_of(settings: WorkerSettings) -> str:
    """`host:gpu:boot`: no two lives of a worker share it, so that a dead one can be told from its successor."""
    return f"{socket.gethostname()}:{settings.gpu}:{os.getpid()}-{uuid.uuid4().hex[:8]}"


async def migrated(database: Database, stopped: asyncio.Event) -> None:
    """Wait, and say so once, until the bot or `lorasmith migrate` has made the database ready. Raises `NewerDatabase`."""
    said = False
    while not stopped.is_set():
        try:
            await asyncio.to_thread(require_current, database)
        except NotMigrated as error:
            if not said:
                log.warning("waiting: %s", error)
            said = True
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(MIGRATION_LOOK_S):
                    await stopped.wait()
        else:
            return


async def work(settings: WorkerSettings) -> None:
    """The whole life of a worker process."""
    stopped = asyncio.Event()
    on_signals((signal.SIGTERM, signal.SIGINT), stopped.set)
    async with opened(settings, executor_id_of(settings)) as bench:
        await migrated(bench.database, stopped)
        if stopped.is_set():
            return
        await bench.database.transact(leases.refuse_mixed, settings)
        worker = Worker(bench)
        on_signals((signal.SIGTERM, signal.SIGINT), worker.drain)
        await worker.run()


def main(kind: type[WorkerSettings] = WorkerSettings) -> int:
    """Exit 0 when drained, 2 where set-up or machine are wrong: `lorasmith up` then does not start it again, as it does after 1."""
    Options("worker", SAYS, settings=kind).parse_args()
    try:
        settings = kind()
        logs.begin(settings.log_format, "worker", [token_of_environment() or ""])
        for base in settings.bases:
            if not present(base, settings.weights(base)):
                return _refuse(missing(base, settings.weights(base)))
        asyncio.run(work(settings))
    except ValidationError as error:
        return _refuse("; ".join(wrong_settings(error)))
    except SetupError as error:
        return _refuse(str(error))
    except Unwritten as error:
        _refuse(str(error))
        return 1
    return 0


def _refuse(why: str) -> int:
    print(f"lorasmith worker: {why}", file=sys.stderr)  # noqa: T201  # the operator's own terminal
    return 2


if __name__ == "__main__":
    sys.exit(main())
