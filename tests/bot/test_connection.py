"""The first connection fails, Discord is away, the token is wrong, a second bot starts, a bot was killed."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from pydantic import SecretStr

from bot import connection
from bot.__main__ import setup_error
from bot.client import LorasmithClient
from bot.connection import become_the_bot, stay_the_bot
from storage import leases, orders
from storage.artifacts import Artifacts
from storage.database import Database, migrate
from storage.domain.errors import SecondBot, SetupError
from storage.engine import Engine
from storage.settings import StorageSettings
from tests.bot.hands import Hands
from tests.bot.living import House, drafted, house


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "FIRST_PAUSE_S", 0.05)


async def test_the_bot_comes_up_although_discord_was_away_at_first(tmp_path: Path) -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    async with house(tmp_path, start=False, web_port=port) as home:
        await home.director.direct("fault", route="GET /users/@me", drop=True, times=1)
        await home.director.direct("refuse_gateway", times=2)
        await home.start()
        await drafted(home, "Ada")
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/metrics") as answer:
            numbers = await answer.text()
        assert 'lorasmith_discord_errors_total{status="none"}' in numbers, "what broke off was counted"


async def test_a_torn_connection_is_resumed_and_nothing_is_lost(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        _, card = await drafted(home, "Ada")
        await home.director.direct("abort")
        ada = home.people["Ada"]
        await home.reply(ada, await ada.click(card, "Start", timeout_s=10), "Started")


async def test_a_vote_that_came_while_the_session_was_lost_for_good_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No event ever tells of it: the new session begins after it."""
    voted = asyncio.Event()
    voted.set()
    monkeypatch.setattr(LorasmithClient, "before_identify_hook", lambda *_a, **_k: voted.wait())
    async with house(tmp_path, recount_s=0.05, look_s=0.05) as home, hands(home) as worker:
        gateway, bruno = home.server.service.gateway, home.people["Bruno"]
        order_id = await worker.begin(ada_in(home))
        await worker.checkpoint(order_id, 2)
        grid = await bruno.wait_message(lambda m: any(f.filename == f"{order_id}-2.png" for f in m.files), timeout_s=20)
        await bruno.react(grid, "👍")
        await counted(worker, order_id, 1)
        voted.clear()
        await home.director.direct("invalidate", resumable=False)
        await home.people["Chidi"].react(grid, "👍")
        assert (gateway.identifies, gateway.resumes, gateway.connected) == (1, 0, False)
        voted.set()
        await counted(worker, order_id, 2)
        assert (gateway.identifies, gateway.resumes) == (2, 0)


def ada_in(home: House) -> dict[str, str]:
    guild = home.server.world.channels[home.channel()].guild_id
    return {
        "community_id": str(guild),
        "owner_id": str(home.people["Ada"].user_id),
        "channel_id": str(home.channel()),
    }


@asynccontextmanager
async def hands(home: House) -> AsyncIterator[Hands]:
    async with home.database() as database:
        engine = Engine(home.settings, database, "worker")
        try:
            yield Hands(database=database, engine=engine, artifacts=Artifacts(home.settings))
        finally:
            await engine.close()


async def counted(worker: Hands, order_id: str, votes: int) -> None:
    async with asyncio.timeout(20):
        while [c.votes for c in await worker.database.transact(orders.checkpoints_of, order_id)] != [votes]:  # noqa: ASYNC110  # from outside
            await asyncio.sleep(0.05)


async def test_a_wrong_token_ends_the_bot_with_a_plain_sentence(tmp_path: Path) -> None:
    async with house(tmp_path, start=False) as home:
        home.settings = home.settings.model_copy(update={"token": SecretStr("wrong")})
        with pytest.raises(BaseExceptionGroup) as caught:
            await home.start()
        found = setup_error(caught.value)
        assert found is not None
        assert "token" in str(found)
        assert "wrong" not in str(found)
        await home.director.direct("forget_violations")


@pytest.fixture
def settings(tmp_path: Path) -> StorageSettings:
    made = StorageSettings(_env_file=None, data_dir=tmp_path, lease_s=1.0, beat_s=0.1, poll_s=0.05)
    migrate(made)
    return made


async def test_a_second_bot_refuses_by_name_while_the_first_beats(settings: StorageSettings) -> None:
    database = Database(settings)
    first = leases.holder_name("bot")
    await become_the_bot(database, settings, first)
    beating = asyncio.create_task(stay_the_bot(database, settings, first))
    try:
        with pytest.raises(SecondBot, match=socket.gethostname()):
            await become_the_bot(database, settings, "elsewhere:bot:1:1")
    finally:
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)
        database.close()


async def test_the_lease_of_a_killed_bot_is_taken_over_at_once(settings: StorageSettings) -> None:
    patient = settings.model_copy(update={"lease_s": 600.0})
    database = Database(patient)
    process = await asyncio.create_subprocess_exec("true")
    await process.wait()
    await database.transact(leases.take_bot_lease, f"{socket.gethostname()}:bot:{process.pid}:1", 600.0)
    try:
        async with asyncio.timeout(5):
            await become_the_bot(database, patient, leases.holder_name("bot"))
    finally:
        database.close()


async def test_a_silent_holder_that_may_still_live_is_waited_for(settings: StorageSettings) -> None:
    database = Database(settings)
    await database.transact(leases.take_bot_lease, f"{socket.gethostname()}:bot:{os.getpid()}:1", 0.5)
    try:
        async with asyncio.timeout(5):
            await become_the_bot(database, settings, leases.holder_name("bot"))
    finally:
        database.close()


async def test_a_bot_whose_lease_was_taken_stops(settings: StorageSettings) -> None:
    database = Database(settings)
    await database.transact(leases.take_bot_lease, "other", 600.0)
    try:
        with pytest.raises(SecondBot):
            await stay_the_bot(database, settings, "mine")
    finally:
        database.close()


def test_the_wrong_set_up_is_found_in_groups() -> None:
    wrong = SetupError("no")
    assert setup_error(BaseExceptionGroup("a", [ValueError(), ExceptionGroup("b", [wrong])])) is wrong
    assert setup_error(ValueError()) is None
