"""The loopback Discord as one thing to start and stop: `async with LoopbackServer.start() as server: ...`."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from bot.loopback import cdn, page
from bot.loopback.api import Door
from bot.loopback.contract import published
from bot.loopback.control import ControlRoom, refusals
from bot.loopback.founding import DEFAULT, WorldPlan, found
from bot.loopback.gateway import Gateway
from bot.loopback.keeping import load, save
from bot.loopback.rates import Rates
from bot.loopback.rules import REAL_RATES, Rules
from bot.loopback.service import Service
from bot.loopback.snowflakes import Clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bot.loopback.record import Violation
    from bot.loopback.world import World

LOCALHOST = "127.0.0.1"
KEPT = "world.json"
KEEP_EVERY_S = 2.0


class LoopbackServer:
    """A running server. `service` is its inside, for tests in the same process."""

    def __init__(self, service: Service) -> None:
        self.service = service

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        plan: WorldPlan = DEFAULT,
        *,
        port: int = 0,
        rules: Rules | None = None,
        real_rates: bool = False,
        state: Path | None = None,
    ) -> AsyncIterator[LoopbackServer]:
        """Listen on 127.0.0.1 until the block ends.

        Args:
            plan: who lives there; ignored where `state` already holds a world.
            port: 0 takes any free one.
            rules: how it behaves.
            real_rates: real-looking rate limits instead of generous ones.
            state: a folder to keep the world in; without it everything is forgotten.

        Yields:
            the server, ready for connections.
        """
        async with contextlib.AsyncExitStack() as stack:
            folder = state or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="loopback-")))
            service = _open(folder, plan, rules or Rules(), real_rates=real_rates)
            if state is not None:
                stack.callback(_keep, service, folder)
                stack.push_async_callback(_stop, asyncio.create_task(_keep_often(service, folder)))
            runner = web.AppRunner(_application(service), access_log=None, shutdown_timeout=1.0)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            site = web.TCPSite(runner, LOCALHOST, port)
            await site.start()
            service.origin = f"http://{LOCALHOST}:{runner.addresses[0][1]}"
            stack.callback(service.gateway.close, 1001)
            yield cls(service)

    @property
    def world(self) -> World:
        """Everything there is."""
        return self.service.world

    @property
    def url(self) -> str:
        """Origin of everything: the chat page is at its root."""
        return self.service.origin

    @property
    def api(self) -> str:
        """What discord.http.Route.BASE must be."""
        return f"{self.service.origin}/api/v10"

    @property
    def gateway_url(self) -> str:
        """What DiscordWebSocket.DEFAULT_GATEWAY must be."""
        return self.service.gateway.url

    @property
    def token(self) -> str:
        """The bot's token."""
        return self.service.world.token

    @property
    def violations(self) -> list[Violation]:
        """Departures from the contract so far; a test that ends with any fails."""
        return self.service.record.violations

    def user_id(self, display_name: str) -> int:
        """A person's id by name."""
        return next(u.id for u in self.world.users.values() if u.display_name == display_name)

    def channel_id(self, name: str) -> int:
        """A channel's id by name."""
        return next(c.id for c in self.world.channels.values() if c.name == name)

    def card(self) -> dict[str, Any]:
        """What another process needs to know (the ready file)."""
        world = self.world
        return {
            "page": self.url,
            "api": self.api,
            "gateway": self.gateway_url,
            "token": self.token,
            "application_id": str(world.application_id),
            "bot_id": str(world.bot_id),
            "guilds": {
                g.name: {
                    "id": str(g.id),
                    "owner": world.users[g.owner_id].display_name,
                    "channels": {c.name: str(c.id) for c in world.guild_channels(g.id)},
                    "members": {world.users[u].display_name: str(u) for u in g.members if u != world.bot_id},
                }
                for g in world.guilds.values()
            },
        }


def _open(folder: Path, plan: WorldPlan, rules: Rules, *, real_rates: bool) -> Service:
    blobs = folder / "files"
    blobs.mkdir(parents=True, exist_ok=True)
    for stale in blobs.glob("incoming-*"):
        stale.unlink()
    kept, clock = folder / KEPT, Clock()
    world = load(kept, clock) if kept.exists() else found(plan, clock=clock)
    rates = Rates(rules=dict(REAL_RATES) if real_rates else {})
    service = Service(world=world, contract=published(), blobs=blobs, clock=clock, rules=rules, rates=rates)
    service.gateway = Gateway(service)
    return service


def _keep(service: Service, folder: Path) -> None:
    save(service.world, service.clock, folder / KEPT)


async def _keep_often(service: Service, folder: Path) -> None:
    """Write the world down whenever something has happened in the last seconds."""
    kept = -1
    while True:
        if kept != service.record.counted:
            kept = service.record.counted
            _keep(service, folder)
        await asyncio.sleep(KEEP_EVERY_S)


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _application(service: Service) -> web.Application:
    app = web.Application(middlewares=[refusals], client_max_size=service.rules.request_bytes)
    app.add_routes(Door(service).routes())
    app.add_routes([web.get("/gateway", service.gateway.serve), web.get("/gateway/", service.gateway.serve)])
    app.add_routes([cdn.handler(service), page.handler()])
    app.add_routes(ControlRoom(service).routes())
    return app
