"""The bot's story of orders on a loopback server, with rows and files written as a worker would write them."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import discord
import pytest
import yarl
from sqlmodel import Session

from bot.loopback.member import Director, Member, SeenMessage
from bot.loopback.server import LoopbackServer
from bot.order import Story
from bot.parts import Parts
from bot.presses import Presses
from bot.settings import BotSettings
from storage import orders
from storage.artifacts import Artifacts
from storage.database import Database, migrate
from storage.domain.lifecycle import Stage
from storage.engine import Engine
from storage.settings import StorageSettings
from storage.tables import Ballot, Order, now
from tests.bot.hands import Hands, get_row


class Client(discord.Client):
    """The wiring that `bot/client.py` does, without intake."""

    story: Story
    presses: Presses

    def __init__(self) -> None:
        intents = discord.Intents(guilds=True, guild_messages=True, guild_reactions=True)
        super().__init__(
            intents=intents,
            max_messages=None,
            guild_ready_timeout=0.05,
            max_ratelimit_timeout=30.0,
            allowed_mentions=discord.AllowedMentions.none(),
        )

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """No patience in tests."""

    async def on_raw_reaction_add(self, payload: discord.RawReactionActionEvent) -> None:
        self.story.on_reaction(payload)

    on_raw_reaction_remove = on_raw_reaction_add

    async def on_raw_thread_delete(self, payload: discord.RawThreadDeleteEvent) -> None:
        await self.story.on_thread_deleted(payload.thread_id)

    async def on_interaction(self, interaction: discord.Interaction[Any]) -> None:
        found = self.presses.find(interaction)
        assert found is not None, interaction.data
        await found[0](interaction, found[1])


@dataclass
class Running:
    """One run of the bot; `kill` ends it the way a crash would: nothing is said good-bye to."""

    story: Story
    parts: Parts
    client: Client
    tasks: list[asyncio.Task[None]]

    async def kill(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.client.close()
        await self.parts.engine.close()
        self.parts.database.close()


@dataclass(kw_only=True)
class Bench(Hands):
    """A loopback server, a place for rows and files, and hands that do a worker's part."""

    server: LoopbackServer
    director: Director
    settings: BotSettings
    stack: contextlib.AsyncExitStack
    monkeypatch: pytest.MonkeyPatch
    members: dict[str, Member] = field(default_factory=dict)
    tolerated: bool = False

    def aim(self) -> None:
        """Point discord.py at the server (again, where a test undid its patches)."""
        self.monkeypatch.setattr(discord.http.Route, "BASE", self.server.api)
        self.monkeypatch.setattr(discord.gateway.DiscordWebSocket, "DEFAULT_GATEWAY", yarl.URL(self.server.gateway_url))

    async def member(self, name: str) -> Member:
        if name not in self.members:
            made = Member(url=self.server.url, user_id=self.server.user_id(name))
            self.members[name] = await self.stack.enter_async_context(made)
        return self.members[name]

    @property
    def guild(self) -> int:
        return next(g.id for g in self.server.world.guilds.values() if g.name == "Loopback")

    async def bot(self, prepare: Callable[[Parts], None] | None = None, **changes: Any) -> Running:
        """Start the bot; its loops run until the test ends or `kill`."""
        settings = self.settings.model_copy(update=changes)
        database = Database(settings)
        client = Client()
        parts = Parts(
            settings=settings,
            database=database,
            engine=Engine(settings, database, "bot"),
            artifacts=Artifacts(settings),
            discord=client,
        )
        if prepare:
            prepare(parts)
        client.story, client.presses = Story(parts), Presses()
        client.story.register(client.presses)
        connected = asyncio.create_task(client.start(self.server.token))
        running = Running(story=client.story, parts=parts, client=client, tasks=[connected])
        self.stack.push_async_callback(running.kill)
        async with asyncio.timeout(10):
            while not client.is_ready():  # noqa: ASYNC110  # discord.py has no event for it before the loop runs
                await asyncio.sleep(0.01)
        running.tasks.append(asyncio.create_task(client.story.run()))
        return running

    async def order(self, owner: str = "Ada", name: str = "Blue cat", **fields: Any) -> str:
        """An order of a member of the loopback, in training."""
        place = {
            "community_id": str(self.guild),
            "owner_id": str(self.server.user_id(owner)),
            "channel_id": str(self.server.channel_id("lora")),
        }
        return await self.begin(place, name=name, **fields)

    async def vote(self, running: Running | None, order_id: str) -> None:
        """The last segment is over: the order is voting."""
        await self.move(running and running.story, order_id, Stage.VOTING)

    async def swept(
        self, running: Running | None, order_id: str, lora: bytes | None = None, *, compact: bool = False
    ) -> None:
        """The scale is measured and the delivery's files are stored."""
        await self.sweep(running and running.story, order_id, lora, compact=compact)

    # -- looking

    async def row(self, order_id: str) -> Order:
        return await self.database.transact(get_row, Order, order_id)

    async def get(self, table: Any, key: Any) -> Any:
        return await self.database.transact(get_row, table, key)

    async def until(self, true: Callable[[], Any], seconds: float = 30.0) -> Any:
        """Wait for a condition (may be async); gives back what it gave."""
        async with asyncio.timeout(seconds):
            while True:
                value = true()
                value = await value if asyncio.iscoroutine(value) else value
                if value:
                    return value
                await asyncio.sleep(0.03)

    async def thread(self, order_id: str) -> int:
        async def there() -> Any:
            return (await self.row(order_id)).thread_id

        return int(await self.until(there))

    async def messages(self, order_id: str) -> list[SeenMessage]:
        return await self.director.messages(await self.thread(order_id))

    async def said(self, order_id: str, words: str) -> SeenMessage:
        """Wait for a message in the order's thread that holds these words (or a file of that name)."""

        async def there() -> SeenMessage | None:
            for message in await self.messages(order_id):
                if words in message.text() or any(words in f.filename for f in message.files):
                    return message
            return None

        found: SeenMessage = await self.until(there)
        return found

    async def grid(self, order_id: str, step: int) -> SeenMessage:
        """The grid's message, seeded."""

        async def there() -> SeenMessage | None:
            found = await self.said(order_id, f"{order_id}-{step}.png")
            return found if found.reactions else None

        message: SeenMessage = await self.until(there)
        return message

    async def votes(self, order_id: str) -> dict[int, int]:
        return {c.step: c.votes for c in await self.database.transact(orders.checkpoints_of, order_id)}

    async def stage(self, order_id: str, stage: Stage) -> Order:
        async def there() -> bool:
            return (await self.row(order_id)).stage == stage.value

        await self.until(there)
        return await self.row(order_id)

    async def due(self, order_id: str) -> None:
        """Let the ballot's instant come."""
        await self.database.transact(_due, order_id)


def _due(session: Session, order_id: str) -> None:
    session.get_one(Ballot, order_id).deadline_at = now() - timedelta(seconds=1)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database, made once."""
    folder = tmp_path_factory.mktemp("migrated")
    migrate(StorageSettings(data_dir=folder, _env_file=None))  # type: ignore[call-arg]  # pydantic-settings takes it
    return folder


@pytest.fixture
def tune() -> dict[str, Any]:
    """Settings that a test module changes."""
    return {}


@pytest.fixture
async def bench(
    tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch, tune: dict[str, Any]
) -> AsyncIterator[Bench]:
    """A bench that fails its test when either side left Discord's contract."""
    for file in empty_database.iterdir():
        if file.is_file():
            shutil.copy(file, tmp_path / file.name)
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(LoopbackServer.start())
        values: dict[str, Any] = {
            "token": server.token, "discord_url": server.url, "data_dir": tmp_path, "look_s": 0.05, "status_s": 0.2,
            "recount_s": 0.05, "web_port": 0,
        }  # fmt: skip
        settings = BotSettings(**{**values, **tune}, _env_file=None)
        database = Database(settings)
        engine = Engine(settings, database, "worker")
        director = await stack.enter_async_context(Director(url=server.url))
        made = Bench(
            server=server, director=director, settings=settings, stack=stack, database=database, engine=engine,
            artifacts=Artifacts(settings), monkeypatch=monkeypatch,
        )  # fmt: skip
        made.aim()
        stack.callback(database.close)
        stack.push_async_callback(engine.close)
        yield made
        if not made.tolerated:
            assert server.violations == []
