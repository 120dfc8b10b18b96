"""Who is alive, on SQLite and PostgreSQL: one bot, many workers, one machine where files are not shared."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from pathlib import Path

import pytest

from storage import leases
from storage.database import Database
from storage.domain.errors import MixedSetup, SecondBot
from storage.engine import Engine
from storage.leases import Fence
from storage.settings import StorageSettings
from storage.tables import Lease, now


def age(database: Database, name: str, seconds: float = 60) -> None:
    """As if its holder had not beaten for long."""
    with database.session() as session:
        session.get_one(Lease, name).expires_at = now() - timedelta(seconds=seconds)


def test_a_second_bot_is_told_who_the_first_one_is(database: Database) -> None:
    with database.session() as session:
        first = leases.take_bot_lease(session, "host1:bot:7", 30)
        leases.take_bot_lease(session, "host1:bot:7", 30)
    with pytest.raises(SecondBot, match="host1:bot:7") as error, database.session() as session:
        leases.take_bot_lease(session, "host2:bot:8", 30)
    assert first.host in str(error.value)
    age(database, "bot")
    with database.session() as session:
        assert leases.take_bot_lease(session, "host2:bot:8", 30).holder == "host2:bot:8"
    with pytest.raises(SecondBot), database.session() as session:
        leases.take_bot_lease(session, "host1:bot:7", 30)


async def test_of_two_bots_that_start_at_once_one_runs(database: Database) -> None:
    found = await asyncio.gather(
        *(database.transact(leases.take_bot_lease, f"bot{n}", 30.0) for n in range(5)), return_exceptions=True
    )
    assert sum(isinstance(f, SecondBot) for f in found) == 4


def test_workers_are_listed_while_they_beat_and_expire_when_they_do_not(database: Database) -> None:
    with database.session() as session:
        leases.beat(session, "w1", "w1", "worker", 30, detail={"bases": ["pocket"]})
        leases.beat(session, "w2", "w2", "worker", 30)
        leases.take_bot_lease(session, "b", 30)
    age(database, "w1")
    age(database, "bot")
    with database.session() as session:
        assert [w.name for w in leases.workers(session)] == ["w2"]
        assert [w.name for w in leases.expired(session)] == ["w1"], "the bot is not reaped: its own restart recovers it"
        leases.drop_expired(session, "w1")
        leases.drop_expired(session, "w2")
        leases.drop(session, "w2", holder="another")
        session.flush()
        assert [w.name for w in leases.workers(session)] == ["w2"]
        leases.drop(session, "w2")
        leases.drop(session, "w2")
        session.flush()
        assert leases.workers(session) == leases.expired(session) == []


async def test_reaping_ends_a_lease_only_when_nothing_of_it_is_left(
    settings: StorageSettings, database: Database
) -> None:
    from storage.reaper import reap

    engine = Engine(settings, database, "living", ("gpu",))
    engine.handle_turn(_nothing)
    with database.session() as session:
        leases.beat(session, "dead", "dead", "worker", 30)
        leases.beat(session, "living", "living", "worker", 30)
    age(database, "dead")
    await engine.launch()
    assert await reap(database, engine) == ["dead"]
    assert await reap(database, engine) == []
    with database.session() as session:
        assert [w.name for w in leases.workers(session)] == ["living"]
    await engine.close()


async def _nothing(_key: str) -> None:
    return


def test_another_machine_is_refused_where_files_are_not_shared(
    settings: StorageSettings, database: Database, tmp_path: Path
) -> None:
    with database.session() as session:
        leases.take_bot_lease(session, "b", 30)
        leases.refuse_mixed(session, settings)
        session.get_one(Lease, "bot").machine = "another kernel"
    with pytest.raises(MixedSetup, match="one machine") as error, database.session() as session:
        leases.refuse_mixed(session, settings)
    assert "LORASMITH_ARTIFACTS_URL" in str(error.value)
    shared = StorageSettings(data_dir=tmp_path, database_url="postgresql://h/d", artifacts_url="s3://bucket/x")
    with database.session() as session:
        leases.refuse_mixed(session, shared)
    age(database, "bot")
    with database.session() as session:
        leases.refuse_mixed(session, settings)


def test_a_fence_falls_a_lease_after_the_last_beat_was_sent_not_when_it_was_answered() -> None:
    fence = Fence(0.2)
    sent = fence.sending()
    time.sleep(0.15)
    fence.beaten(sent)  # the database took its time
    assert not fence.lost
    assert fence.left_s < 0.06
    time.sleep(0.1)
    assert fence.lost
    fence.beaten(fence.sending())
    assert not fence.lost


def test_machine_is_the_kernel_and_holders_are_unlike() -> None:
    assert leases.machine() == leases.machine() != ""
    first = leases.holder_name("gpu0")
    time.sleep(0.002)
    assert first != leases.holder_name("gpu0")
