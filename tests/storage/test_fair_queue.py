"""The real queue with workers as processes: who is given turns, and what happens when a worker is killed in one."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session, select

from storage import leases, orders
from storage.database import Database
from storage.engine import Engine
from storage.settings import StorageSettings
from storage.tables import Attempt, Order, Piece
from tests.storage.making import started

SQLITE_IS_ENOUGH = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
"""Cancel and recovery on PostgreSQL are held by `test_engine.py`; processes are slow to start."""
WORKER = Path(__file__).with_name("small_worker.py")


class Workers:
    """Starts small workers and reads what they wrote."""

    def __init__(self, settings: StorageSettings) -> None:
        self.settings = settings
        self.log = settings.data_dir / "turns.jsonl"
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(
        self, name: str, *, hold_s: float = 0.1, segments: int = 1, lease_s: float = 1.0
    ) -> subprocess.Popen[bytes]:
        told = {
            "name": name,
            "data_dir": str(self.settings.data_dir),
            "database_url": self.settings.database_url,
            "log": str(self.log),
            "hold_s": hold_s,
            "segments": segments,
            "lease_s": lease_s,
            "live_s": 60,
        }
        process = subprocess.Popen([sys.executable, WORKER, json.dumps(told)], stdin=subprocess.PIPE)
        self.processes.append(process)
        return process

    def wrote(self, what: str) -> list[dict[str, Any]]:
        if not self.log.exists():
            return []
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line for line in lines if line["what"] == what]

    async def until(self, done: Callable[[], bool], seconds: float = 40.0) -> None:
        ends = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < ends, self.log.read_text() if self.log.exists() else "no worker took a turn"
            await asyncio.sleep(0.05)

    def end(self) -> list[int]:
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.close()
        return [process.wait(20) for process in self.processes]


@pytest.fixture
def workers(settings: StorageSettings) -> Iterator[Workers]:
    many = Workers(settings)
    yield many
    for process in many.processes:
        process.kill()
        process.wait()
        if process.stdin is not None:
            process.stdin.close()


def communities(session: Session, pieces: list[str]) -> list[str]:
    return [session.get_one(Order, piece.partition(":")[0]).community_id for piece in pieces]


async def test_nine_orders_of_one_community_do_not_keep_another_waiting(
    database: Database, client: Engine, workers: Workers
) -> None:
    def nine_and_one(session: Session) -> None:
        for n in range(9):
            started(session, client, f"a{n}", community="A", owner=f"a{n}")
        started(session, client, "b", community="B", owner="bob")

    await database.transact(nine_and_one)
    workers.start("w1")
    await workers.until(lambda: len(workers.wrote("gave back")) == 10)
    assert workers.end() == [0]
    with database.session() as session:
        given = communities(session, [line["piece"] for line in workers.wrote("picked")])
        assert given == ["A", "B"] + ["A"] * 8
        assert {p.state for p in session.exec(select(Piece)).all()} == {"done"}


async def test_a_killed_workers_turn_is_run_again_by_another(
    database: Database, client: Engine, workers: Workers
) -> None:
    with database.session() as session:
        order = started(session, client)
    doomed = workers.start("doomed", hold_s=60)
    await workers.until(lambda: len(workers.wrote("picked")) == 1)
    heir = workers.start("heir", hold_s=0.2, segments=1)
    doomed.kill()
    killed = time.monotonic()
    await workers.until(lambda: len(workers.wrote("gave back")) == 1)
    first, second = workers.wrote("picked")
    assert (first["worker"], second["worker"]) == ("doomed", "heir")
    assert (first["piece"], second["turn"]) == (second["piece"], 2)
    assert time.monotonic() - killed < 20
    with database.session() as session:
        assert [a.outcome for a in session.exec(select(Attempt).order_by(Attempt.id)).all()] == ["lost", "done"]
        assert session.get_one(Piece, f"{order.id}:train:1").state == "done"
    await workers.until(lambda: database_workers(database) == 1, 10)
    assert heir.poll() is None


def database_workers(database: Database) -> int:
    """Leases of workers that are there at all, expired or not."""
    with database.session() as session:
        return len(leases.workers(session)) + len(leases.expired(session))


@SQLITE_IS_ENOUGH
async def test_cancelling_an_order_ends_its_turn_in_the_worker_within_seconds(
    database: Database, client: Engine, workers: Workers
) -> None:
    with database.session() as session:
        order = started(session, client)
    workers.start("w1", hold_s=60)
    await workers.until(lambda: len(workers.wrote("picked")) == 1)
    for turn in await database.transact(orders.cancel, client, order.id):
        await client.cancel(turn)
    await workers.until(lambda: len(workers.wrote("gave back")) == 1, 10)
    assert len(workers.wrote("cancelled")) == 1
    with database.session() as session:
        assert session.get_one(Piece, f"{order.id}:train:1").state == "cancelled"


STAGES = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from storage.database import Database
from storage.engine import Engine
from storage.settings import StorageSettings
from storage import orders
from storage.domain.lifecycle import Stage
from storage.tables import Ballot, now

version, data_dir, url = sys.argv[1], Path(sys.argv[2]), sys.argv[3] or None
settings = StorageSettings(data_dir=data_dir, database_url=url, poll_s=0.1)
database = Database(settings)
engine = Engine(settings, database, "bot", ("control",))
finished = asyncio.Event()

def say(word):
    with (data_dir / "stages.txt").open("a") as file:
        file.write(version + " " + word + chr(10))

async def on_stage(order_id, stage, attempt):
    say(stage)
    if stage == "voting":
        await database.transact(lambda s: s.get(Ballot, order_id) or s.add(Ballot(order_id=order_id, deadline_at=now())))
        if version == "old":
            await asyncio.sleep(60)
        say("one-more-step")
        await database.transact(orders.move, engine, order_id, Stage.SCALING)
        await database.transact(orders.move, engine, order_id, Stage.DELIVERING)
    if stage == "delivering":
        await database.transact(orders.move, engine, order_id, Stage.DELIVERED)
        finished.set()

async def main():
    engine.handle_stage(on_stage)
    await engine.launch()
    await asyncio.wait_for(finished.wait(), 60)
    await engine.close()
    database.close()

asyncio.run(main())
"""


@SQLITE_IS_ENOUGH
async def test_a_new_version_with_one_more_step_takes_over_an_order_with_its_ballot_open(
    settings: StorageSettings, database: Database, client: Engine
) -> None:
    with database.session() as session:
        order = started(session, client)
        orders.move(session, client, order.id, "training")
        orders.move(session, client, order.id, "voting")
    wrote = settings.data_dir / "stages.txt"
    old = bot(settings, "old")
    ends = time.monotonic() + 30
    while not (wrote.exists() and "old voting" in wrote.read_text()):
        assert time.monotonic() < ends
        await asyncio.sleep(0.05)
    old.kill()
    old.wait()
    assert bot(settings, "new").wait(60) == 0
    assert wrote.read_text().split("\n")[:-1] == ["old voting", "new voting", "new one-more-step", "new delivering"]
    with database.session() as session:
        assert session.get_one(Order, order.id).stage == "delivered"


def bot(settings: StorageSettings, version: str) -> subprocess.Popen[bytes]:
    program = STAGES.format(root=str(Path(__file__).parents[2]))
    return subprocess.Popen(
        [sys.executable, "-c", program, version, str(settings.data_dir), settings.database_url or ""]
    )
