"""One tiny order over the loopback, with kills on its way, from `/train` to the delivered file; and what must be true after."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from sqlmodel import Session, select

from bot.loopback.demo_household import Household
from bot.loopback.demo_people import NotSeen, People, order_of
from bot.loopback.member import DidNotRespond, Refused
from bot.loopback.seen import SeenMessage
from storage import orders
from storage.artifacts import Artifacts
from storage.domain.lifecycle import Stage
from storage.settings import StorageSettings
from storage.tables import Delivery, Order, PlanRow, Vote
from tests.builders import drawn_pictures
from tests.faults.calm import Files, files_of, undisturbed
from tests.faults.keeper import PROCESS, Keeper
from tests.faults.kills import Kill
from tests.trainer.ordering import FIRST, LAST, tiny
from trainer.turn import Bench

OWNER = "Ada"
VOTES = {"Bruno": FIRST, "Chidi": FIRST, "Dalia": LAST}
"""Who votes for which step; the first wins two to one."""
PATIENCE_S = 420.0
HICCUPS = (DidNotRespond, NotSeen, Refused, LookupError, TimeoutError, aiohttp.ClientError)
"""What a member meets while the bot is away; people try again."""
SETTINGS = {
    "look_s": "0.2", "recount_s": "0.2", "status_s": "1", "poll_s": "0.1", "beat_s": "0.4", "lease_s": "2.5",
    "watch_s": "0.3", "ballot_s": "3600", "threads": "1", "device": "cpu", "nice": "0",
    "doctor_wait_s": "0.2",
}  # fmt: skip


@dataclass(kw_only=True)
class Trial:
    """One order and its kills."""

    folder: Path
    base: Path
    kills: Sequence[Kill]
    order_id: str = ""
    thread: int = 0
    struck: list[str] = field(default_factory=list)
    """Kills at moments that met somebody."""
    seconds: float = 0.0
    """From Start to delivery."""

    async def run(self, bench: Bench) -> None:
        """The trip; then `check`. Raises `AssertionError` where a kill did harm or never happened."""
        async with AsyncExitStack() as stack:
            settings = {**SETTINGS, "base_pocket": str(self.base)}
            self.house = await stack.enter_async_context(Household(folder=self.folder, settings=settings))
            self.keeper = Keeper(house=self.house, faults=self._faults())
            self.people = People(card=self.house.address, stack=stack)
            keeping = asyncio.create_task(self.keeper.keep())
            try:
                async with asyncio.timeout(PATIENCE_S * 2):
                    await self._order()
                    await self._trip()
                await self._check(bench)
            except BaseException as error:
                error.add_note(self._evidence())
                raise
            finally:
                keeping.cancel()
                await asyncio.wait([keeping])

    def _faults(self) -> dict[str, list[Kill]]:
        found: dict[str, list[Kill]] = {}
        for kill in self.kills:
            if kill.gap:
                found.setdefault(PROCESS[kill.who], []).append(kill)
        return found

    async def _order(self) -> None:
        """`/train`, Start; before a worker is there, the frozen plan is made tiny."""
        await self.keeper.start("bot")
        await (await self.people.director()).wait_for_bot(timeout_s=60)
        await self.people.until(self._commands, PATIENCE_S, "the bot's commands")
        pictures = await asyncio.to_thread(_pictures, self.folder / "pictures")
        await self.people.train(OWNER, pictures, {"subject": "object", "name": "Blue toy"})
        plan = await self.people.plan(OWNER)
        self.order_id = order_of(plan)
        await self._again_until(lambda: self.people.start(OWNER, plan), self._in(Stage.QUEUED))
        await self.house.database.transact(_make_tiny, self.order_id)
        await self.keeper.start("worker")

    async def _trip(self) -> None:
        began = time.monotonic()
        strikes = [asyncio.create_task(self._strike(kill)) for kill in self.kills if not kill.gap]
        try:
            self.thread = int(await self.people.until(self._thread, PATIENCE_S, "the order's thread"))
            await asyncio.gather(*(self._vote(name, step) for name, step in VOTES.items()))
            sheet = f"{self.order_id}-sheet"
            await self.people.said(OWNER, self.thread, sheet, PATIENCE_S)
            press = f"finish:{self.order_id}"
            await self._again_until(
                lambda: self.people.press(OWNER, self.thread, sheet, press),
                self._in(Stage.SCALING, Stage.DELIVERING, Stage.DELIVERED),
            )
            await self.people.until(self._in(Stage.DELIVERED), PATIENCE_S, "the delivery")
            self.seconds = time.monotonic() - began
            await asyncio.gather(*strikes)
        finally:
            for strike in strikes:
                strike.cancel()

    async def _strike(self, kill: Kill) -> None:
        """At its moment; where nobody is there to be killed, a moment later."""
        await asyncio.sleep(kill.after_s)
        while not await self._in(Stage.DELIVERED)():
            if await self.keeper.kill(kill):
                self.struck.append(kill.name)
                return
            await asyncio.sleep(0.05)

    async def _vote(self, name: str, step: int) -> None:
        grid = f"{self.order_id}-{step}.png"
        await self.people.said(name, self.thread, grid, PATIENCE_S)
        await self.people.react(name, self.thread, grid)

    async def _again_until(
        self, act: Callable[[], Awaitable[object]], done: Callable[[], Awaitable[bool | None]]
    ) -> None:
        """Like a person before an application that does not respond: look whether it happened, and try again."""
        async with asyncio.timeout(PATIENCE_S):
            while not await done():
                with suppress(*HICCUPS):
                    async with asyncio.timeout(8):
                        await act()
                for _ in range(10):
                    if await done():
                        return
                    await asyncio.sleep(0.2)

    def _in(self, *stages: Stage) -> Callable[[], Awaitable[bool | None]]:
        async def look() -> bool | None:
            order = await self.house.database.transact(lambda s: s.get_one(Order, self.order_id))
            assert order.stage != Stage.FAILED.value, f"the order failed: {order.fault} {order.fault_reason}"
            return order.stage in [s.value for s in stages] or None

        return look

    async def _commands(self) -> bool | None:
        world = await (await self.people.named(OWNER)).world()
        return any(c["name"] == "train" for g in world["guilds"] for c in g["commands"]) or None

    async def _thread(self) -> str | None:
        return (await self.house.database.transact(lambda s: s.get_one(Order, self.order_id))).thread_id

    # -- what must be true

    async def _check(self, bench: Bench) -> None:
        self._check_that_they_died()
        order, votes, deliveries = await self.house.database.transact(_facts, self.order_id)
        assert votes == {(step, self._user(name)) for name, step in VOTES.items()}, "a vote was lost or invented"
        assert order.chosen_step == FIRST
        assert order.chosen_because == "votes"
        assert deliveries == 1
        await self._check_posts()
        storm = StorageSettings(data_dir=self.house.data, database_url=None, artifacts_url=None)
        disturbed = await files_of(self.house.database, Artifacts(storm), self.order_id)
        calm: Files = await undisturbed(bench, storm, self.house.database, self.order_id)
        assert disturbed == calm, "the kills changed what was learned"

    def _check_that_they_died(self) -> None:
        for kill in self.kills:
            if kill.gap:
                assert self.keeper.marks[kill.name].exists(), f"{kill.name} was never reached"
            else:
                assert kill.name in self.struck, f"{kill.name} met nobody"

    async def _check_posts(self) -> None:
        """Every post is there exactly once: plan, grids, sheet, choice, card."""
        member = await self.people.named(OWNER)
        seen = await member.visible_messages(self.people.channel) + await member.visible_messages(self.thread)
        found = Counter(name for message in seen for name in self._names(message))
        assert found == Counter(dict.fromkeys(self._expected(), 1)), f"posts: {dict(found)}"

    def _expected(self) -> list[str]:
        return ["plan", str(FIRST), str(LAST), "sheet", "choice", "card"]

    def _names(self, message: SeenMessage) -> set[str]:
        """Which of the expected posts a message is."""
        said = " ".join([message.text(), *(f.filename for f in message.files)])
        return set(re.findall(rf"{self.order_id}-(\w+)", said)) & set(self._expected())

    def _user(self, name: str) -> str:
        return str(self.people.members[name].user_id)

    def _evidence(self) -> str:
        lines = [f"kills {[k.name for k in self.kills]}, deaths {self.keeper.deaths}, struck {self.struck}"]
        for name in ("bot", "worker"):
            lines += [f"--- {name}", self.house.last_words(name, 25)]
        return "\n".join(lines)


def _pictures(folder: Path) -> list[Path]:
    folder.mkdir()
    paths = [folder / f"{n}.png" for n in range(4)]
    for path, picture in zip(paths, drawn_pictures(4), strict=True):
        picture.save(path)
    return paths


def _make_tiny(session: Session, order_id: str) -> None:
    session.get_one(PlanRow, order_id).plan_json = tiny(orders.plan_of(session, order_id)).to_json()


def _facts(session: Session, order_id: str) -> tuple[Order, set[tuple[int, str]], int]:
    votes = session.exec(select(Vote).where(Vote.order_id == order_id)).all()
    deliveries = session.exec(select(Delivery).where(Delivery.order_id == order_id)).all()
    return session.get_one(Order, order_id), {(v.step, v.user_id) for v in votes}, len(deliveries)
