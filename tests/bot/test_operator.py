"""What an operator sets: which servers, how much disk, and that the bot says so in plain words."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from bot.__main__ import run, setup_error
from tests.bot.living import House, house, photos


def server_id(home: House, name: str) -> int:
    return next(g.id for g in home.server.world.guilds.values() if g.name == name)


async def test_servers_that_are_not_listed_are_refused_and_left(tmp_path: Path) -> None:
    async with house(tmp_path, start=False) as home:
        first, second = server_id(home, "Loopback"), server_id(home, "Second Loop")
        everywhere = home.settings
        home.settings = everywhere.model_copy(update={"allowed_servers": frozenset({first})})
        await home.start()
        assert {c.guild_id for c in home.server.world.commands.values()} == {first}
        await asyncio.sleep(1.5)  # in its first moments the client takes a new server for one that it was in before
        await home.director.direct("invite", guild_id=str(second))
        async with asyncio.timeout(10):
            while home.server.world.bot_id in home.server.world.guilds[second].members:  # noqa: ASYNC110  # from outside
                await asyncio.sleep(0.05)
        await home.stop()
        home.settings = everywhere.model_copy(update={"allowed_servers": frozenset({second})})
        await home.start()  # the commands in the first server are still there
        ada = home.people["Ada"]
        files = {"image1": photos(1)[0]}
        answer = await ada.slash("train", channel=home.channel(), options={"subject": "object"}, files=files)
        await home.reply(ada, answer, "have not opened it for this server")
        assert await home.orders() == []


async def test_a_full_disk_is_said_before_anything_is_fetched(tmp_path: Path) -> None:
    stored = tmp_path / "artifacts" / "orders" / "old" / "big.bin"
    stored.parent.mkdir(parents=True)
    stored.write_bytes(b"x" * 5000)
    async with house(tmp_path, disk_ceiling_gb=1e-6) as home:
        ada = home.people["Ada"]
        files = {f"image{n + 1}": f for n, f in enumerate(photos(4))}
        answer = await ada.slash("train", channel=home.channel(), options={"subject": "object"}, files=files)
        await home.reply(ada, answer, "no room for more pictures")
        assert await home.orders() == []
        assert not any("attachments" in c["path"] for c in await home.director.transcript() if c["method"] == "GET")


async def test_a_server_that_is_not_listed_and_invited_the_bot_while_it_was_away_is_left(tmp_path: Path) -> None:
    async with house(tmp_path, start=False) as home:
        first, second = server_id(home, "Loopback"), server_id(home, "Second Loop")
        home.settings = home.settings.model_copy(update={"allowed_servers": frozenset({first})})
        await home.start()
        async with asyncio.timeout(10):
            while home.server.world.bot_id in home.server.world.guilds[second].members:  # noqa: ASYNC110  # from outside
                await asyncio.sleep(0.05)
        assert home.server.world.bot_id in home.server.world.guilds[first].members


async def test_a_port_that_is_taken_is_said_with_what_to_do(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        async with house(tmp_path, start=False, web_port=other.getsockname()[1]) as home:
            with pytest.raises(ExceptionGroup) as wrong:
                await asyncio.wait_for(run(home.settings), 60)
            said = setup_error(wrong.value)
            assert said is not None
            assert "LORASMITH_WEB_PORT" in str(said)
