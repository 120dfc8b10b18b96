"""A real bot beside a loopback Discord, in this process: what the tests of the bot begin from."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sqlmodel import Session, select

from bot.__main__ import run
from bot.loopback.founding import DEFAULT, WorldPlan
from bot.loopback.member import Answer, Director, Member, SeenMessage
from bot.loopback.rules import Rules
from bot.loopback.server import LoopbackServer
from bot.settings import BotSettings
from storage.database import Database
from storage.engine import Engine
from storage.orders import cancel, open_orders
from storage.tables import Order, Picture


def photo(seed: int, side: int = 96, kind: str = "PNG") -> bytes:
    """A picture unlike that of any other seed: a few soft colour fields."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    out = io.BytesIO()
    small.resize((side, side), Image.Resampling.BICUBIC).save(out, kind)
    return out.getvalue()


def photos(count: int, first: int = 0) -> list[tuple[str, bytes]]:
    """So many different pictures with their file names."""
    return [(f"photo-{first + n}.png", photo(first + n)) for n in range(count)]


@dataclass(kw_only=True)
class House:
    """A loopback server with the bot's settings; the bot comes and goes."""

    server: LoopbackServer
    settings: BotSettings
    director: Director
    people: dict[str, Member]
    bot: asyncio.Task[None] | None = None
    known: set[str] = field(default_factory=set)
    """Orders of earlier tests."""

    async def start(self) -> None:
        """Start the bot and wait until its commands are there."""
        self.bot = asyncio.create_task(run(self.settings))
        async with asyncio.timeout(30):
            while not (self.known_everywhere() and self.server.service.gateway.connected):
                if self.bot.done():
                    bot, self.bot = self.bot, None
                    bot.result()
                await asyncio.sleep(0.02)

    async def registered(self) -> None:
        """Wait until every server that the bot serves has its commands."""
        async with asyncio.timeout(10):
            while not self.known_everywhere():  # noqa: ASYNC110  # from outside
                await asyncio.sleep(0.02)

    def known_everywhere(self) -> bool:
        known = {c.guild_id for c in self.server.world.commands.values()}
        return {g.id for g in self.server.world.bot_guilds() if self.settings.serves(g.id)} <= known

    async def stop(self) -> None:
        """Stop the bot as a signal does."""
        if self.bot is not None:
            self.bot.cancel()
            with suppress(asyncio.CancelledError):
                await self.bot
            self.bot = None
            # the engine takes the loop's pool of threads down with it; a bot of its own process ends then anyway
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(max_workers=4))

    @asynccontextmanager
    async def database(self) -> AsyncIterator[Database]:
        """A look into the rows."""
        database = Database(self.settings)
        try:
            yield database
        finally:
            database.close()

    async def ask(self, fn: Callable[..., Any], *args: Any) -> Any:
        """Run `fn(session, ...)`."""
        async with self.database() as database:
            return await database.transact(fn, *args)

    async def orders(self) -> list[Order]:
        """All orders, oldest first."""
        return list(await self.ask(_orders))

    async def pictures(self, order_id: str) -> list[Picture]:
        """The pictures of an order by position."""
        return list(await self.ask(_pictures, order_id))

    def channel(self, name: str = "lora") -> int:
        """A channel's id."""
        return self.server.channel_id(name)

    async def card(self, who: str, order_id: str, wanted: str = "", timeout_s: float = 20.0) -> SeenMessage:
        """The plan card of an order once it holds the wanted words."""

        def ours(message: SeenMessage) -> bool:
            text = message.text()
            return f"{order_id}-plan" in text and wanted in text and not message.ephemeral

        return await self.people[who].wait_message(ours, timeout_s=timeout_s)

    async def newest(self) -> Order:
        """The order that was made last, once it is there."""
        async with asyncio.timeout(10):
            while not (found := [o for o in await self.orders() if o.id not in self.known]):  # noqa: ASYNC110  # from outside
                await asyncio.sleep(0.02)
        return found[-1]

    async def wait_for_order(self, interaction_id: str) -> Order:
        """The order of an interaction, once it is there."""
        async with asyncio.timeout(10):
            while not (found := [o for o in await self.orders() if o.interaction_id == interaction_id]):  # noqa: ASYNC110  # from outside
                await asyncio.sleep(0.02)
        return found[0]

    async def reply(self, who: Member, answer: Answer, wanted: str) -> SeenMessage:
        """The private answer to an interaction once it holds the wanted words."""
        async with asyncio.timeout(10):
            while wanted not in (said := await who.reply_of(answer)).text():  # noqa: ASYNC110  # from outside
                await asyncio.sleep(0.02)
        return said

    async def clear(self, who: str) -> None:
        """Cancel all that is open of one person, without Discord."""
        async with self.database() as database:
            engine = Engine(self.settings, database, "tests")
            try:
                await database.transact(_cancel_all, engine, str(self.people[who].user_id))
            finally:
                await engine.close()
        self.known |= {o.id for o in await self.orders()}

    def deliver_again(self, interaction_id: int) -> None:
        """Send the bot an interaction once more, as a resumed session can."""
        for session in self.server.service.gateway.sessions.values():
            sent = [data for _, event, data in session.sent if event == "INTERACTION_CREATE"]
            for data in [d for d in sent if d["id"] == str(interaction_id)][:1]:
                session.dispatch("INTERACTION_CREATE", data)


async def drafted(
    home: House, who: str, *, subject: str = "object", first: int = 0, place: str = "lora"
) -> tuple[Order, SeenMessage]:
    """A draft with four pictures and its card."""
    files = {f"image{n + 1}": file for n, file in enumerate(photos(4, first))}
    member = home.people[who]
    answer = await member.slash("train", channel=home.channel(place), options={"subject": subject}, files=files)
    order = await home.wait_for_order(str(answer.interaction_id))
    return order, await home.card(who, order.id, "4 pictures taken")


async def order_of(home: House, order_id: str) -> Order:
    """An order's row as it is now."""
    return next(o for o in await home.orders() if o.id == order_id)


def _orders(session: Session) -> list[Order]:
    return list(session.exec(select(Order).order_by(Order.created_at)).all())  # type: ignore[arg-type]


def _cancel_all(session: Session, engine: Engine, owner_id: str) -> None:
    for order in open_orders(session):
        if order.owner_id == owner_id:
            cancel(session, engine, order.id)


def _pictures(session: Session, order_id: str) -> list[Picture]:
    found = session.exec(select(Picture).where(Picture.order_id == order_id)).all()
    return sorted(found, key=lambda p: p.position)


@asynccontextmanager
async def house(
    folder: Path, *, plan: WorldPlan = DEFAULT, rules: Rules | None = None, start: bool = True, **settings: Any
) -> AsyncIterator[House]:
    """A world with its people and, unless told otherwise, a running bot. A departure from Discord's contract fails."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(LoopbackServer.start(plan, rules=rules))
        director = await stack.enter_async_context(Director(url=server.url))
        names = {n for s in plan.servers for n in s.members}
        people = {n: await stack.enter_async_context(Member(url=server.url, user_id=server.user_id(n))) for n in names}
        values: dict[str, Any] = {
            "token": server.token,
            "discord_url": server.url,
            "data_dir": folder,
            "poll_s": 0.1,
            "look_s": 0.1,
            "status_s": 0.2,
            "recount_s": 0.1,
            "web_port": 0,
        }
        made = House(server=server, settings=BotSettings(**{**values, **settings}), director=director, people=people)
        stack.push_async_callback(made.stop)
        if start:
            await made.start()
        yield made
        assert server.violations == []
