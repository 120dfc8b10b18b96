"""The one door to DBOS: durable workflows on two queues. Nothing else imports it.

Why so little of DBOS is used: an order's truth is its row, so a workflow is ONE step that calls an idempotent handler. A new
version of the program therefore never meets a half-run workflow with other steps. DBOS does not notice dead processes by
itself (its commercial Conductor does); `Engine.recover` is called by our reaper when a lease has run out.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Literal, TypeVar, cast

from dbos import DBOS, DBOSClient, DBOSConfig
from sqlmodel import Session

from storage.database import Database
from storage.logs import about
from storage.settings import StorageSettings

PROTOCOL = "1"
"""What DBOS calls the application version. It names the arguments of the two workflows, not the program: it changes only when
those change, because workflows are taken up only by processes that say the same."""

APPLICATION = "lorasmith"
CONTROL, GPU = "control", "gpu"
QueueName = Literal["control", "gpu"]
MAX_RECOVERIES = 100
"""A workflow that was cut off so often is given up; turns and orders have their own, lower limits."""

ENDED = ("SUCCESS", "ERROR", "CANCELLED")

StageHandler = Callable[[str, str, int], Awaitable[None]]
TurnHandler = Callable[[str], Awaitable[None]]
T = TypeVar("T")

logging.getLogger("dbos").setLevel(logging.WARNING)


def stage_id(order_id: str, stage: str, attempt: int) -> str:
    """The name of a stage workflow."""
    return f"{order_id}:{stage}:{attempt}"


def migrate_engine(settings: StorageSettings) -> None:
    """Create or update the tables of DBOS beside ours."""
    DBOS.migrate(settings.database)


class Engine:
    """Workflows of this process. With `queues=()` it only enqueues and looks; at most one other Engine a process is launched."""

    def __init__(
        self, settings: StorageSettings, database: Database, executor_id: str, queues: Sequence[QueueName] = ()
    ) -> None:
        self.settings = settings
        self.database = database
        self.executor_id = executor_id
        self.queues = tuple(queues)
        self._stage: StageHandler | None = None
        self._turn: TurnHandler | None = None
        self._launched = False
        self._client: DBOSClient = DBOSClient(
            system_database_url=settings.database, application_name=APPLICATION, lazy=True
        )

    def handle_stage(self, handler: StageHandler) -> None:
        """What runs when an order enters a stage that the bot moves: `handler(order_id, stage, attempt)`, idempotent."""
        self._stage = handler

    def handle_turn(self, handler: TurnHandler) -> None:
        """What runs when this worker gets a turn on the GPU: `handler(turn_key)`. Cancelled when the turn is."""
        self._turn = handler

    async def launch(self) -> None:
        """Begin to take work from the queues, on this event loop. The database is migrated already."""
        if not self.queues:
            return
        DBOS(config=self._config())
        _register(self._stage, self._turn)
        DBOS.listen_queues(list(self.queues))
        DBOS.launch()
        self._launched = True
        await DBOS.register_queue_async(CONTROL, polling_interval_sec=self.settings.poll_s, on_conflict="always_update")
        await DBOS.register_queue_async(
            GPU, worker_concurrency=1, polling_interval_sec=self.settings.poll_s, on_conflict="always_update"
        )

    def _config(self) -> DBOSConfig:
        return {
            "name": APPLICATION,
            "system_database_url": self.settings.database,
            "application_version": PROTOCOL,
            "executor_id": self.executor_id,
            "run_migrations": False,
            "log_level": "WARNING",
            "enable_otlp": False,
            "use_listen_notify": True,  # as DBOS.migrate made the tables
        }

    async def close(self) -> None:
        """Stop taking work and let go of the database. Work that still runs here is cut off and recovered later."""
        if self._launched:
            self._launched = False
            await _in_thread(partial(DBOS.destroy, destroy_registry=True))
        await _in_thread(self._client.destroy)

    def enqueue_stage(self, session: Session, order_id: str, stage: str, attempt: int) -> str:
        """Enqueue a stage workflow in the caller's transaction; the same name twice is one workflow."""
        return self._enqueue(session, "stage", CONTROL, stage_id(order_id, stage, attempt), order_id, stage, attempt)

    def enqueue_turn(self, session: Session, key: str) -> str:
        """Enqueue one turn on the GPU in the caller's transaction; the same key twice is one turn."""
        return self._enqueue(session, "turn", GPU, key, key)

    def _enqueue(self, session: Session, name: str, queue: str, workflow_id: str, *args: object) -> str:
        options: Any = {
            "workflow_name": name,
            "queue_name": queue,
            "workflow_id": workflow_id,
            "app_version": PROTOCOL,
        }
        self._client.enqueue_in_transaction(session, options, *args)
        return workflow_id

    def statuses(self, workflow_ids: Sequence[str]) -> dict[str, str]:
        """The states of those workflows that exist: ENQUEUED, DELAYED, PENDING, SUCCESS, ERROR, CANCELLED or a dead letter."""
        if not workflow_ids:
            return {}
        found = self._client.list_workflows(workflow_ids=list(workflow_ids), load_input=False, load_output=False)
        return {w.workflow_id: str(w.status) for w in found}

    async def status(self, workflow_id: str) -> str | None:
        """The state of one workflow; None where there is none."""
        return (await _in_thread(partial(self.statuses, [workflow_id]))).get(workflow_id)

    def turns_waiting(self) -> int:
        """How many turns are enqueued and not taken yet, as committed."""
        found = self._client.list_workflows(
            queue_name=GPU, status=["ENQUEUED", "DELAYED"], load_input=False, load_output=False
        )
        return len(found)

    async def cancel(self, workflow_id: str) -> None:
        """Cancel a workflow. A running turn's handler is cancelled within about a second; an unknown or ended one is let be."""
        await _in_thread(partial(self._client.cancel_workflow, workflow_id))

    async def forget(self, before: datetime, most: int = 500) -> int:
        """Delete the records of workflows that ended before then, at most so many a call; gives back how many.

        Records of ended workflows are of no use to us: an order's truth is its row. They would pile up for ever.
        """
        return await _in_thread(partial(self._forget, before, most))

    def _forget(self, before: datetime, most: int) -> int:
        old = self._client.list_workflows(
            status=list(ENDED), completed_before=before.isoformat(), limit=most, load_input=False, load_output=False
        )
        if old:
            self._client.delete_workflows([w.workflow_id for w in old])
        return len(old)

    async def recover(self, executor_id: str) -> int:
        """Put back on their queues the workflows that a dead process left running. Only where that process is surely gone.

        Safe to call twice and from two processes: only what still names the dead process is put back. Gives back how many
        are still left with it (0 when done), because DBOS swallows transient errors here.
        """
        return await _in_thread(partial(self._recover, executor_id))

    def _recover(self, executor_id: str) -> int:
        # Private, and the only call that is conditional on the dead process's id: `resume_workflow` would start a second run
        # beside a living one. Pinned to dbos 3.4, held by tests/storage/test_engine.py.
        DBOS._recover_pending_workflows([executor_id])  # noqa: SLF001
        left = self._client.list_workflows(
            executor_id=executor_id, status="PENDING", app_version=PROTOCOL, load_input=False, load_output=False
        )
        return len(left)


def _register(stage: StageHandler | None, turn: TurnHandler | None) -> None:
    if stage is not None:
        _register_stage(stage)
    if turn is not None:
        _register_turn(turn)


def _register_stage(handler: StageHandler) -> None:
    @DBOS.step(name="act")
    async def act(order_id: str, stage: str, attempt: int) -> None:
        with about(order_id):
            await handler(order_id, stage, attempt)

    @DBOS.workflow(name="stage", max_recovery_attempts=MAX_RECOVERIES)
    async def stage(order_id: str, stage: str, attempt: int) -> None:
        await act(order_id, stage, attempt)


def _register_turn(handler: TurnHandler) -> None:
    @DBOS.step(name="work", preemptible=True)
    async def work(key: str) -> None:
        await handler(key)

    @DBOS.workflow(name="turn", max_recovery_attempts=MAX_RECOVERIES)
    async def turn(key: str) -> None:
        await work(key)


async def _in_thread(fn: Callable[[], T]) -> T:
    """Run in a thread of our own: DBOS replaces the loop's default pool and ends it while it closes."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            result = fn()
        except BaseException as error:  # noqa: BLE001  # handed to the waiting coroutine
            loop.call_soon_threadsafe(_settle, done, None, error)
        else:
            loop.call_soon_threadsafe(_settle, done, result, None)

    threading.Thread(target=run, name="engine", daemon=True).start()
    return await done


def _settle(future: asyncio.Future[T], result: T | None, error: BaseException | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(cast("T", result))
