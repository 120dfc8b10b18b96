"""The bot's web pages as a program: they come up and go without leaving anything open."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest
from aiohttp import web

from bot.settings import BotSettings
from bot.web import _listen


@pytest.mark.parametrize("rounds", range(5))
async def test_pages_that_are_stopped_while_they_come_up_listen_no_more(rounds: int) -> None:
    port = free_port()
    settings = BotSettings(_env_file=None, token="t" * 30, web_port=port)  # type: ignore[call-arg]  # pydantic-settings takes it
    runner = web.AppRunner(web.Application(), access_log=None)
    await runner.setup()
    coming = asyncio.create_task(_listen(runner, settings))
    for _ in range(rounds):  # of the event loop
        await asyncio.sleep(0)
    coming.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await coming
    await runner.cleanup()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
