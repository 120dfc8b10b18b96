"""The engine on SQLite and PostgreSQL: same-transaction enqueue, queues, cancel, recovery. Real processes where a kill matters."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlmodel import Session

from storage.database import Database
from storage.engine import PROTOCOL, Engine, stage_id
from storage.settings import StorageSettings
from storage.tables import now
from tests.storage.making import draft


async def until(done: Callable[[], bool], seconds: float = 15.0) -> None:
    ends = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < ends, "it did not happen"
        await asyncio.sleep(0.02)


class Seen:
    """Handlers that write down what they were given."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, str, int]] = []
        self.turns: list[str] = []
        self.cancelled: list[str] = []
        self.running = self.most = 0
        self.release = asyncio.Event()
        self.loops: set[asyncio.AbstractEventLoop] = set()

    async def stage(self, order_id: str, stage: str, attempt: int) -> None:
        self.loops.add(asyncio.get_running_loop())
        self.stages.append((order_id, stage, attempt))
        if stage == "broken":
            raise ValueError("a handler that fails")

    async def turn(self, key: str) -> None:
        self.turns.append(key)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            if key.startswith("long"):
                await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled.append(key)
            raise
        finally:
            self.running -= 1


def launched(settings: StorageSettings, database: Database, seen: Seen, name: str = "w1") -> Engine:
    engine = Engine(settings, database, name, ("control", "gpu"))
    engine.handle_stage(seen.stage)
    engine.handle_turn(seen.turn)
    return engine


async def test_queues_run_their_handlers_on_this_loop_one_turn_at_a_time(
    settings: StorageSettings, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """One launch, because each costs a second: arguments, order of turns, errors, cancel, quiet, the same id twice."""
    seen = Seen()
    engine = launched(settings, database, seen)

    def enqueue(session: Session) -> None:
        engine.enqueue_stage(session, "order1", "voting", 3)
        engine.enqueue_stage(session, "order1", "voting", 3)
        engine.enqueue_stage(session, "order2", "broken", 1)
        for n in range(3):
            engine.enqueue_turn(session, f"short{n}")
        engine.enqueue_turn(session, "long1")

    await database.transact(enqueue)
    assert engine.turns_waiting() == 4
    with caplog.at_level(logging.INFO):
        await engine.launch()
        await until(lambda: seen.running == 1 and len(seen.turns) == 4)
    assert seen.turns == ["short0", "short1", "short2", "long1"]
    assert seen.most == 1
    assert sorted(seen.stages) == [("order1", "voting", 3), ("order2", "broken", 1)]
    assert seen.loops == {asyncio.get_running_loop()}
    assert not [r for r in caplog.records if r.name == "dbos" and r.levelno < logging.WARNING]

    assert await engine.status("long1") == "PENDING"
    assert await engine.status(stage_id("order1", "voting", 3)) == "SUCCESS"
    assert await engine.status(stage_id("order2", "broken", 1)) == "ERROR"
    assert await engine.status("nothing") is None

    began = time.monotonic()
    await engine.cancel("long1")
    await until(lambda: seen.cancelled == ["long1"])
    assert time.monotonic() - began < 3
    await until(lambda: engine.statuses(["long1"]) == {"long1": "CANCELLED"})
    await engine.cancel("nothing")

    await database.transact(lambda session: engine.enqueue_stage(session, "late", "voting", 1))
    await until(lambda: ("late", "voting", 1) in seen.stages)
    assert await engine.forget(now() - timedelta(hours=1)) == 0, "not old enough"
    assert await engine.forget(now() + timedelta(hours=1), most=4) == 4
    await engine.forget(now() + timedelta(hours=1))
    assert engine.statuses(["short0", "long1", "order1:voting:3"]) == {}
    await engine.close()


async def test_what_is_enqueued_in_a_transaction_that_fails_never_was(database: Database, client: Engine) -> None:
    with pytest.raises(RuntimeError), database.session() as session:  # noqa: PT012  # the transaction is what is tested
        draft(session, "1")
        client.enqueue_turn(session, "t1")
        client.enqueue_stage(session, "o", "voting", 1)
        raise RuntimeError("power cut")
    assert client.statuses(["t1", "o:voting:1"]) == {}
    with database.session() as session:
        client.enqueue_turn(session, "t1")
    assert client.statuses(["t1"]) == {"t1": "ENQUEUED"}


async def test_recovering_a_dead_process_is_conditional_on_its_name_and_safe_to_repeat(
    settings: StorageSettings, database: Database
) -> None:
    """The contract of the one private call to DBOS: what a living process runs is not touched; a dead one's work goes back."""
    seen = Seen()
    engine = launched(settings, database, seen, "alive")
    await engine.launch()
    await database.transact(engine.enqueue_turn, "long-mine")
    await until(lambda: seen.running == 1)
    assert await engine.recover("dead") == 0
    assert await engine.status("long-mine") == "PENDING"
    assert len(seen.turns) == 1

    await database.transact(_pretend_taken_by_dead, engine, "t-dead")
    assert await engine.status("t-dead") == "PENDING"
    assert await engine.recover("dead") == 0
    assert await engine.recover("dead") == 0
    assert await engine.status("t-dead") == "ENQUEUED", "it waits: this worker's only slot is taken"
    assert seen.turns == ["long-mine"]
    seen.release.set()
    await until(lambda: seen.turns == ["long-mine", "t-dead"])
    await engine.close()


def _pretend_taken_by_dead(session: Session, engine: Engine, key: str) -> None:
    import sqlalchemy as sa

    engine.enqueue_turn(session, key)
    schema = "" if engine.settings.on_sqlite else "dbos."
    session.execute(
        sa.text(
            f"UPDATE {schema}workflow_status SET status = 'PENDING', executor_id = 'dead', owner_xid = 'x' "  # noqa: S608  # two fixed names
            "WHERE workflow_uuid = :key"
        ),
        {"key": key},
    )


async def test_workflows_carry_the_protocol_so_that_no_program_version_strands_them(
    database: Database, client: Engine
) -> None:
    await database.transact(client.enqueue_turn, "t1")
    (found,) = client._client.list_workflows(workflow_ids=["t1"])
    assert found.app_version == PROTOCOL == "1"
