"""THE TRIP of the demonstration: pictures in, votes, a LoRA out; each step is what a member or the bot really does."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path

from sqlmodel import Session, select

from bot.loopback.demo_household import Ended, Household
from bot.loopback.demo_people import People, get, link_in
from bot.loopback.demo_screen import Screen
from storage import leases, orders, words
from storage.domain.choice import Candidate, measured_best
from storage.domain.lifecycle import Stage
from storage.domain.orders import MIN_PICTURES
from storage.stopping import Stop, stop_of
from storage.tables import Checkup, Order, Progress, now
from storage.words_stopping import ended_early, given_back

OWNER, FANS, LATE, WAVERING, OTHER = "Ada", ("Bruno", "Chidi"), "Dalia", "Mira", "Olive"
"""Who orders, who votes for the winner, who votes while the bot is down, who takes a vote back, who votes otherwise."""
LOOK_S = 0.4
PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".heic", ".heif", ".bmp", ".tif", ".tiff"})
MOST_PICTURES = 30
"""What the form of `/train` takes at once."""
KEYCAPS = tuple(f"{n}️⃣" for n in range(1, 10))


class OrderFailed(RuntimeError):
    """The order ended without a delivery."""


@dataclass(kw_only=True)
class Trip:
    """One demonstration: `make` is the trip from top to bottom."""

    options: argparse.Namespace
    house: Household
    people: People
    screen: Screen
    order_id: str = ""
    thread: int = 0

    async def make(self) -> None:
        """The trip."""
        pictures, class_word = await self.pictures()
        await self.connect()
        await self.order(pictures, class_word)
        await self.watch_training()
        winner = await self.vote()
        await self.vote_while_the_bot_is_down(winner)
        await self.finish_the_ballot(winner)
        await self.watch(Stage.SCALING, "measuring the scale")
        await self.watch(Stage.DELIVERING, "handing over")
        await self.download()

    async def pictures(self) -> tuple[list[Path], str]:
        """The given pictures, or eight drawn ones of a subject that the base has never seen; and the class word."""
        if self.options.images is not None:
            found = sorted(p for p in self.options.images.iterdir() if p.suffix.lower() in PICTURES)
            if not MIN_PICTURES <= len(found) <= MOST_PICTURES:
                raise SystemExit(
                    f"{self.options.images} holds {len(found)} pictures; the demonstration sends {MIN_PICTURES} to "
                    f"{MOST_PICTURES}, as many as the form of /train takes at once"
                )
            return found, self.options.class_word
        folder = self.house.folder / "pictures"
        drawing = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "trainer.pocket.draw", "--kind", self.options.subject,
            "--index", str(self.options.index), "--count", "8", "--out", str(folder.resolve()),
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said, _ = await drawing.communicate()
        if drawing.returncode:
            raise Ended("the pictures could not be drawn")
        drawn = json.loads(said)
        self.screen.say(
            "demo", f"drew 8 pictures of a {drawn['class_word']} that the base model has never seen: {folder}"
        )
        return [Path(p) for p in drawn["files"]], self.options.class_word or drawn["class_word"]

    async def connect(self) -> None:
        """Bot and worker start; the bot's commands arrive."""
        self.screen.say("demo", f"loopback Discord on {self.house.address['page']}")
        await self.house.start_bot()
        await self.house.start_worker()
        director = await self.people.director()
        await director.wait_for_bot(timeout_s=60)
        member = await self.people.named(OWNER)

        async def commands() -> bool | None:
            self.house.check()
            world = await member.world()
            return any(c["name"] == "train" for g in world["guilds"] for c in g["commands"]) or None

        await self.people.until(commands, 60, "the bot's commands")
        self.screen.say("bot", "connected over a websocket; /train is there")
        await self.people.until(self._worker, 60, "the worker")

    async def order(self, pictures: list[Path], class_word: str) -> None:
        """`/train`, the plan card, Start."""
        wish = {"subject": self.options.subject, "name": self.options.name}
        wish |= {"class_word": class_word} if class_word else {}
        self.screen.say(OWNER, f"/train subject:{self.options.subject} with {len(pictures)} pictures")
        await self.people.train(OWNER, pictures, wish)
        plan = await self.people.plan(OWNER)
        self.screen.say("bot", "shows the plan:")
        self.screen.quote(plan.text())
        self.screen.say(OWNER, "presses Start")
        await self.people.start(OWNER, plan)
        self.order_id = await self.people.until(self._newest, 30, "the order")
        self.thread = int(await self.people.until(self._thread, 60, "the order's thread"))

    async def watch_training(self) -> None:
        """Bars move, grids come; one member likes the first."""
        shown: set[int] = set()
        began = False
        while (await self._order()).stage in (Stage.QUEUED, Stage.TRAINING):
            await self._look()
            await self._answer_about_pictures()
            for candidate in await self._candidates():
                if candidate.step in shown:
                    continue
                shown.add(candidate.step)
                await self._show_grid(candidate, first=not began)
                began = True
        self.screen.no_bar()
        for candidate in await self._candidates():
            if candidate.step not in shown:
                await self._show_grid(candidate, first=False)
        if stop := await self.house.database.transact(_stopped, self.order_id):
            self.screen.say("bot", ended_early(stop.step, stop.because))
            self.screen.say("bot", given_back(stop.steps, words.duration(stop.saved_s)))

    async def _answer_about_pictures(self) -> None:
        """Where the look at all pictures together asks something, the owner keeps them as they are: training waits for it."""
        if not await self.house.database.transact(_asked, self.order_id):
            return
        asked = await self.people.said(OWNER, self.thread, f"{self.order_id}-pictures", 60)
        self.screen.say("bot", "has looked at all pictures together:")
        self.screen.quote(asked.text(), OWNER)
        self.screen.say(OWNER, "presses Go on as it is")
        await self.people.press(OWNER, self.thread, f"{self.order_id}-pictures", f"goon:{self.order_id}")

    async def _show_grid(self, candidate: Candidate, *, first: bool) -> None:
        await self.people.said(OWNER, self.thread, f"{self.order_id}-{candidate.step}.png")
        line = words.measurement_line(candidate.measurement)
        self.screen.say("bot", f"posts the grid of step {candidate.step}. {line}")
        if first:
            self.screen.say(WAVERING, f"likes step {candidate.step}")
            await self.people.react(WAVERING, self.thread, f"{self.order_id}-{candidate.step}.png")

    async def vote(self) -> int:
        """The ballot is open: members vote against the measured best, one takes a vote back. Gives back their step."""
        candidates = await self._candidates()
        best = measured_best(candidates)
        others = [c for c in candidates if not c.broken and (best is None or c.step != best.step)]
        winner = max(others, key=_liked, default=best or candidates[-1])
        await self.people.said(OWNER, self.thread, f"{self.order_id}-sheet", 90)
        self.screen.say("bot", "opens the ballot with a sheet of all checkpoints side by side")
        if best is not None and best.step != winner.step:
            self.screen.say(OTHER, f"votes for step {best.step}, which measures best")
            await self.people.react(OTHER, self.thread, f"{self.order_id}-{best.step}.png")
        for name in FANS:
            self.screen.say(name, f"votes for step {winner.step}")
            await self.people.react(name, self.thread, f"{self.order_id}-{winner.step}.png")
        self.screen.say(WAVERING, f"takes the vote for step {candidates[0].step} back")
        await self.people.react(WAVERING, self.thread, f"{self.order_id}-{candidates[0].step}.png", back=True)
        return winner.step

    async def vote_while_the_bot_is_down(self, winner: int) -> None:
        """The bot process really stops; a vote is cast; it starts again and counts it."""
        await self.house.stop("bot")
        self.screen.say("bot", "is stopped")
        steps = [c.step for c in await self._candidates()]
        sheet = f"{self.order_id}-sheet"
        self.screen.say(LATE, f"votes {steps.index(winner) + 1} on the sheet while the bot is down")
        await self.people.react(LATE, self.thread, sheet, KEYCAPS[steps.index(winner)])
        await self.house.start_bot()
        wanted = len(FANS) + 1

        async def counted() -> int | None:
            self.house.check()
            votes = {c.step: c.votes for c in await self._candidates()}
            return votes[winner] if votes[winner] >= wanted else None

        votes = await self.people.until(counted, 60, "the votes")
        self.screen.say("bot", f"is back and counts the messages anew: {words.votes_words(votes)} for step {winner}")

    async def finish_the_ballot(self, winner: int) -> None:
        """The owner closes the vote; the choice is said with its reasons."""
        self.screen.say(OWNER, "presses Finish")
        await self.people.press(OWNER, self.thread, f"{self.order_id}-sheet", f"finish:{self.order_id}")
        await self.watch(Stage.VOTING, "closing the ballot")
        said = await self.people.said(OWNER, self.thread, f"{self.order_id}-choice")
        self.screen.say("bot", "says what was chosen and why:")
        self.screen.quote(said.text())
        order = await self._order()
        if order.chosen_step != winner:
            raise OrderFailed(f"step {winner} had the votes, but step {order.chosen_step} was chosen")

    async def watch(self, stage: Stage, name: str) -> None:
        """Show what goes on until the order leaves a stage."""
        while (await self._order()).stage == stage:
            await self._look(name)
        self.screen.no_bar()

    async def download(self) -> None:
        """Fetch what was delivered, like a member."""
        out = self.house.folder
        card = await self.people.said(OWNER, self.thread, f"{self.order_id}-card", 90)
        self.screen.say("bot", "delivers:")
        self.screen.quote(card.text(), OWNER)
        files = await self.people.fetch(OWNER, card, out)
        if not any(p.suffix == ".safetensors" for p in files):
            said = await self.people.press(OWNER, self.thread, f"{self.order_id}-card", f"download:{self.order_id}")
            (out / f"{self.order_id}.safetensors").write_bytes(await get(link_in(said)))
        (out / "page.html").write_bytes(await get(link_in(card, "See")))
        (out / "grids").mkdir(exist_ok=True)
        for candidate in await self._candidates():
            grid = await self.people.said(OWNER, self.thread, f"{self.order_id}-{candidate.step}.png")
            await self.people.fetch(OWNER, grid, out / "grids")
        self.screen.say(OWNER, f"downloads {len(files)} files")
        if violations := await (await self.people.director()).violations():
            raise OrderFailed(f"bot or loopback left Discord's contract: {violations[:3]}")

    # -- looking at the rows, for bars and for what members cannot know

    async def _look(self, name: str = "") -> None:
        self.house.check()
        order, progress = await self.house.database.transact(_state, self.order_id)
        if order.stage == Stage.FAILED:
            raise OrderFailed(f"the order failed ({order.fault}): {order.fault_reason}")
        if progress is not None and order.stage in (Stage.TRAINING, Stage.SCALING):
            left = f"about {words.duration(progress.seconds_left)} left" if progress.seconds_left else ""
            loss = f"error {words.percent(progress.loss_ratio)} of the base's" if progress.loss_ratio else ""
            self.screen.bar(
                progress.stage or name, progress.step, progress.steps, ", ".join(p for p in (loss, left) if p)
            )
        await asyncio.sleep(LOOK_S)

    async def _order(self) -> Order:
        return (await self.house.database.transact(_state, self.order_id))[0]

    async def _candidates(self) -> list[Candidate]:
        return await self.house.database.transact(orders.candidates, self.order_id)

    async def _worker(self) -> bool | None:
        self.house.check()
        return await self.house.database.transact(_works)

    async def _newest(self) -> str | None:
        return await self.house.database.transact(_started)

    async def _thread(self) -> str | None:
        self.house.check()
        return (await self._order()).thread_id


def _state(session: Session, order_id: str) -> tuple[Order, Progress | None]:
    return session.get_one(Order, order_id), session.get(Progress, order_id)


def _asked(session: Session, order_id: str) -> bool:
    checkup = session.get(Checkup, order_id)
    return checkup is not None and not checkup.answer and checkup.answer_by is not None and checkup.answer_by > now()


def _stopped(session: Session, order_id: str) -> Stop | None:
    return stop_of(session, order_id, orders.plan_of(session, order_id))


def _works(session: Session) -> bool | None:
    return bool(leases.workers(session)) or None


def _started(session: Session) -> str | None:
    return session.exec(select(Order.id).where(Order.stage != Stage.DRAFT.value)).first()


def _liked(candidate: Candidate) -> tuple[float, int]:
    m = candidate.measurement
    return (m.utility or 0.0 if m else 0.0, candidate.step)
