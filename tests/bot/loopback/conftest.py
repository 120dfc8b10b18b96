"""A stage for tests: a loopback server, a real discord.py client on it over sockets, and members who act."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import discord
import pytest
import yarl
from discord import app_commands

from bot.loopback.member import Director, Member
from bot.loopback.reacting import react
from bot.loopback.rules import Rules
from bot.loopback.server import LoopbackServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from browser import Page

    from bot.loopback.world import Message

INTENTS = discord.Intents(guilds=True, guild_messages=True, guild_reactions=True, dm_messages=True)
AGENT = "DiscordBot (https://example.org, 1.0)"


class Player(discord.Client):
    """A client that keeps what it hears."""

    def __init__(self, *, intents: discord.Intents = INTENTS) -> None:
        super().__init__(
            intents=intents,
            max_messages=None,
            guild_ready_timeout=0.05,
            enable_debug_events=True,
            allowed_mentions=discord.AllowedMentions.none(),
        )
        self.tree = app_commands.CommandTree(self)
        self.heard: list[tuple[str, Any]] = []
        self.failures: list[Exception] = []

        @self.tree.error
        async def keep(_: discord.Interaction, error: app_commands.AppCommandError) -> None:
            self.failures.append(getattr(error, "original", error))

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """No five seconds of patience in tests."""

    def dispatch(self, event: str, /, *args: Any, **kwargs: Any) -> None:
        """Keep what was dispatched, then dispatch it."""
        self.heard.append((event, args[0] if args else None))
        super().dispatch(event, *args, **kwargs)

    async def hear(self, event: str, count: int = 1, timeout_s: float = 5.0) -> list[Any]:
        """Wait until an event has come `count` times."""
        await eventually(lambda: sum(e == event for e, _ in self.heard) >= count, timeout_s)
        return [a for e, a in self.heard if e == event]


async def eventually(true: Callable[[], object], timeout_s: float = 5.0) -> None:
    """Wait until something is true."""
    async with asyncio.timeout(timeout_s):
        while not true():  # noqa: ASYNC110  # it waits for another library's inside
            await asyncio.sleep(0.01)


@dataclass
class Stage:
    """The server and whoever is on it."""

    server: LoopbackServer
    director: Director
    stack: contextlib.AsyncExitStack
    tolerated: bool = False
    members: dict[str, Member] = field(default_factory=dict)

    @property
    def lora(self) -> int:
        """The id of #lora."""
        return self.server.channel_id("lora")

    async def member(self, name: str) -> Member:
        """A person by name."""
        if name not in self.members:
            made = Member(url=self.server.url, user_id=self.server.user_id(name))
            self.members[name] = await self.stack.enter_async_context(made)
        return self.members[name]

    async def bot(
        self, prepare: Callable[[Player], None] | None = None, *, intents: discord.Intents = INTENTS
    ) -> Player:
        """A connected client; its commands are synced to every server."""
        player = Player(intents=intents)
        if prepare is not None:
            prepare(player)
        await self.stack.enter_async_context(player)
        running = asyncio.create_task(player.start(self.server.token))

        async def stop() -> None:
            await player.close()
            await asyncio.wait_for(running, 5)

        self.stack.push_async_callback(stop)
        await player.hear("ready")
        if player.tree.get_commands() or player.tree.get_commands(type=discord.AppCommandType.message):
            for guild in player.guilds:
                player.tree.copy_global_to(guild=guild)
                await player.tree.sync(guild=guild)
        return player

    async def eventually(self, true: Callable[[], object]) -> None:
        """Wait until something is true."""
        await eventually(true)

    def server_react(self, said: Message, user_id: int, emoji: str = "👍") -> None:
        """A reaction without a member's HTTP call."""
        react(self.server.service, said, user_id, emoji)

    async def call(self, method: str, path: str, **options: Any) -> tuple[int, Any, dict[str, str]]:
        """A raw request with the bot's token."""
        headers = {"Authorization": f"Bot {self.server.token}", "User-Agent": AGENT} | options.pop("headers", {})
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, self.server.api + path, headers=headers, **options) as response,
        ):
            text = await response.text()
            body = await response.json() if response.content_type == "application/json" else text
            return response.status, body, dict(response.headers)


@pytest.fixture
def rules() -> Rules:
    """How this test's server behaves; a test module overrides it."""
    return Rules()


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch, rules: Rules) -> AsyncIterator[Stage]:
    """A stage that fails its test when either side left the contract."""
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(LoopbackServer.start(rules=rules))
        monkeypatch.setattr(discord.http.Route, "BASE", server.api)
        monkeypatch.setattr(discord.gateway.DiscordWebSocket, "DEFAULT_GATEWAY", yarl.URL(server.gateway_url))
        director = await stack.enter_async_context(Director(url=server.url))
        made = Stage(server=server, director=director, stack=stack)
        yield made
        assert made.tolerated or server.violations == []


@pytest.fixture
def open_browser(tmp_path: Path) -> Callable[[], AbstractAsyncContextManager[Page]]:
    """A way to start a chromium with a fresh profile; it is an async context manager that gives the tab."""
    spec = importlib.util.spec_from_file_location("loopback_browser", Path(__file__).with_name("browser.py"))
    assert spec is not None
    assert spec.loader is not None
    browser = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(browser)
    return lambda: browser.opened(tmp_path / "profile")
