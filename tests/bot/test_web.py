"""The bot's web pages as a program: they come up and go without leaving anything open."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from types import SimpleNamespace

import aiohttp
import pytest
from aiohttp import web

from bot import metrics
from bot.metrics import Metrics
from bot.settings import BotSettings
from bot.traffic import Traffic
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


async def test_what_discord_refuses_and_what_breaks_off_is_counted_by_status() -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=int(request.match_info["status"]))

    app = web.Application()
    app.router.add_get("/{status}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port := free_port()).start()
    traffic = Traffic()
    async with aiohttp.ClientSession(trace_configs=[traffic]) as session:
        for status in (200, 204, 403, 429, 429):
            await (await session.get(f"http://127.0.0.1:{port}/{status}")).read()
        await runner.cleanup()
        with contextlib.suppress(aiohttp.ClientError):
            await session.get(f"http://127.0.0.1:{port}/200")
    assert (traffic.requests, dict(traffic.refusals), traffic.broken) == (6, {403: 1, 429: 2}, 1)


async def test_whoever_asks_for_numbers_again_and_again_makes_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    class Asked:
        times = 0

        async def transact(self, _: object) -> str:
            self.times += 1
            await asyncio.sleep(0)
            return f"census {self.times}"

    database = Asked()
    numbers = Metrics(SimpleNamespace(database=database))  # type: ignore[arg-type]  # nothing else is asked for here
    assert set(await asyncio.gather(*(numbers._counted() for _ in range(5)))) == {"census 1"}
    monkeypatch.setattr(metrics, "FRESH_S", 0.0)
    assert await numbers._counted() == "census 2"  # type: ignore[comparison-overlap]  # as above


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
