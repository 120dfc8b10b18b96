"""The loop that brings Discord up to what storage says: posts what is missing, once, and edits seldom.

It looks about once a second and acts on differences only. Each order is shown by itself: one that waits for a rate limit or
whose channel is gone does not hold up the others, and an order goes on whether or not it can be shown.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import tempfile
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import discord
from sqlmodel import Session

from bot import delivery, wording, wording_order
from bot.links import links_of
from bot.parts import Parts
from bot.posting import Enclosure, Posting, unreachable
from bot.presses import button, row_of
from bot.progress import status_text
from bot.recount import KEYCAPS
from bot.sheet import make_sheet
from bot.shown import Face, Shown, look
from storage import orders
from storage.domain.lifecycle import Stage
from storage.domain.measurement import Measurement
from storage.domain.orders import mark
from storage.faults import gap
from storage.tables import Checkpoint, Delivery, Post, now
from storage.view import choice_of

log = logging.getLogger(__name__)

AT_ONCE = 4
"""Orders that are brought up to date at a time."""
LONGEST_WAIT_S = 60.0
"""The longest wait after an error that passes: Discord is down, a connection broke, a rate limit."""
BLOCKED_WAIT_S, LONGEST_BLOCKED_S = 60.0, 3600.0
"""Waits where posting is not allowed or the place is gone: such answers count against the bot."""
OLD_STATUS = timedelta(minutes=50)
"""Discord limits edits of messages older than an hour, so an older status message is replaced by a new one."""
MAX_GRID_BYTES = 32 * 1024 * 1024


class Announcer:
    """Shows orders. `wake` makes it look at once."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.posting = Posting(parts)
        self.blocked: set[str] = set()
        """Orders whose place cannot be posted to at present."""
        self._tries: dict[str, int] = {}
        self._not_before: dict[str, float] = {}
        self._working: dict[str, asyncio.Task[None]] = {}
        self._few = asyncio.Semaphore(AT_ONCE)
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Look now: something was just written."""
        self._woken.set()

    async def run(self) -> None:
        """Look, show, wait; until cancelled."""
        try:
            while True:
                try:
                    await self._look()
                except Exception:
                    log.exception("looking at the orders failed; it is tried again")
                await self._pause()
        finally:
            for task in self._working.values():
                task.cancel()
            await asyncio.gather(*self._working.values(), return_exceptions=True)

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), self.parts.settings.look_s)
        self._woken.clear()

    async def _look(self) -> None:
        if not self.parts.discord.is_ready():
            return
        at = asyncio.get_running_loop().time()
        for it in await self.parts.database.transact(look):
            order_id = it.order.id
            if order_id in self.blocked and it.stage is Stage.DELIVERING:
                await self.parts.database.transact(_delivered, self.parts, order_id, posted=False)
            if order_id in self._working or self._not_before.get(order_id, 0.0) > at or not self._can_be_shown(it):
                continue
            task = asyncio.create_task(self._try_to_show(it))
            self._working[order_id] = task
            task.add_done_callback(partial(self._done, order_id))

    def _done(self, order_id: str, _: asyncio.Task[None]) -> None:
        self._working.pop(order_id, None)

    def _can_be_shown(self, it: Shown) -> bool:
        """Whether there is a server to show it in. Without one an order is handed over by moving on."""
        if it.removed or not it.order.community_id.isdigit():
            self.blocked.add(it.order.id)
            return False
        return self.parts.discord.get_guild(int(it.order.community_id)) is not None

    async def _try_to_show(self, it: Shown) -> None:
        """One order, with its troubles: what passes is waited for, what is forbidden is left alone for a good while."""
        order_id = it.order.id
        try:
            async with self._few:
                await self.show(it)
        except discord.RateLimited as error:
            self._wait(order_id, error.retry_after, 1.0)
        except discord.HTTPException as error:
            self._after_refusal(it, error)
        except (discord.DiscordException, aiohttp.ClientError, OSError, TimeoutError, RuntimeError) as error:
            log.warning("order %s is not shown yet: %s: %s", order_id, type(error).__name__, error)
            self._wait(order_id, self.parts.settings.look_s, LONGEST_WAIT_S)
        except Exception:
            log.exception("order %s cannot be shown", order_id)
            self._wait(order_id, self.parts.settings.look_s, LONGEST_WAIT_S)
        else:
            self._tries.pop(order_id, None)
            self.blocked.discard(order_id)

    def _after_refusal(self, it: Shown, error: discord.HTTPException) -> None:
        if unreachable(error):
            log.warning("order %s cannot be shown in its place: %s", it.order.id, error)
            self.blocked.add(it.order.id)
            self._wait(it.order.id, BLOCKED_WAIT_S, LONGEST_BLOCKED_S)
        else:
            log.warning("order %s is not shown yet: %s", it.order.id, error)
            self._wait(it.order.id, self.parts.settings.look_s, LONGEST_WAIT_S)

    def _wait(self, order_id: str, first_s: float, longest_s: float) -> None:
        """Longer with every try in a row; a blocked order that is about to be handed over is looked at once more soon."""
        tries = self._tries[order_id] = self._tries.get(order_id, 0) + 1
        pause = min(first_s * 2 ** min(tries - 1, 10), max(first_s, longest_s))
        self._not_before[order_id] = asyncio.get_running_loop().time() + pause

    # -- what an order's thread shows, from top to bottom

    async def show(self, it: Shown) -> None:
        """Bring one order's thread up to date."""
        if it.order.started_at is None or (it.stage is Stage.CANCELLED and it.order.thread_id is None):
            return
        await self.posting.thread(it)
        if it.stage not in (Stage.DELIVERED, Stage.CANCELLED):
            await self._status(it)
        for number, checkpoint in enumerate(it.checkpoints, 1):
            await self._grid(it, checkpoint, number)
        if it.ballot is not None:
            await self._sheet(it)
        if it.order.choice_json:
            await self._choice(it)
        match it.stage:
            case Stage.DELIVERING | Stage.DELIVERED:
                await self._card(it)
            case Stage.FAILED:
                await self._failure(it)
            case Stage.CANCELLED:
                by_moderator = (it.order.cancel_by or "").startswith("moderator:")
                text = wording.cancelled(it.order.name, by_moderator=by_moderator, reason=it.order.cancel_reason)
                await self.posting.post(it, "cancelled", text)
            case _:
                pass

    async def _status(self, it: Shown) -> None:
        text = await status_text(self.parts, it)
        if "status" in it.posts and self._too_old(it.posts["status"]):
            await self.posting.forget(it, "status")
        post = await self.posting.post(it, "status", text)
        if Face.of(post).text != text and self._may_edit(post):
            await self.posting.edit(it, "status", text)

    def _may_edit(self, post: Post) -> bool:
        last = post.edited_at or post.posted_at
        return now() - last >= timedelta(seconds=self.parts.settings.status_s)

    def _too_old(self, post: Post, at: datetime | None = None) -> bool:
        return (at or now()) - post.posted_at > OLD_STATUS

    async def _grid(self, it: Shown, checkpoint: Checkpoint, number: int) -> None:
        what = str(checkpoint.step)
        if what not in it.posts:
            measured = Measurement.from_json(checkpoint.measurement_json) if checkpoint.measurement_json else None
            steps = it.plan.steps if it.plan else checkpoint.step
            of = len(it.plan.checkpoint_steps) if it.plan else number
            text = wording_order.grid_caption(
                step=checkpoint.step, steps=steps, number=number, of=of, measurement=measured
            )
            picture = await self.parts.artifacts.read(checkpoint.grid_artifact, MAX_GRID_BYTES)
            alt = wording_order.grid_alt(step=checkpoint.step, name=it.order.name)
            file = Enclosure(name=f"{mark(it.order.id, what)}.png", what=picture, alt=alt)
            view = row_of([button("Take this one", "take", it.order.id, what)])
            await self.posting.post(it, what, text, files=[file], view=view)
        if not Face.of(it.posts[what]).seeded:
            await self.posting.seed(it, what, [wording_order.VOTE_EMOJI])

    async def _sheet(self, it: Shown) -> None:
        text = self._sheet_text(it)
        open_ = it.ballot is not None and it.ballot.closed_at is None
        view = row_of([button("Finish the vote now", "finish", it.order.id)] if open_ else [])
        if "sheet" not in it.posts:
            with tempfile.TemporaryDirectory() as folder:
                picture = await make_sheet(await self._grid_files(it, Path(folder)), Path(folder))
                name = mark(it.order.id, "sheet") + picture.suffix
                alt = f"All checkpoints side by side: steps {', '.join(map(str, it.steps))}."
                await self.posting.post(
                    it, "sheet", text, files=[Enclosure(name=name, what=picture, alt=alt)], view=view, mention=open_
                )
        face = Face.of(it.posts["sheet"])
        if open_ and not face.seeded:
            await self.posting.seed(it, "sheet", KEYCAPS[: len(it.checkpoints)])
        if face.text != text and (not open_ or self._may_edit(it.posts["sheet"])):
            await self.posting.edit(it, "sheet", text, view=view)

    def _sheet_text(self, it: Shown) -> str:
        rows = [
            wording_order.SheetRow(
                emoji=emoji,
                step=c.step,
                votes=c.votes,
                measurement=Measurement.from_json(c.measurement_json) if c.measurement_json else None,
            )
            for emoji, c in zip(KEYCAPS, it.checkpoints, strict=False)
        ]
        ballot = it.ballot
        deadline = ballot.deadline_at if ballot is not None and ballot.closed_at is None else None
        return wording_order.sheet(name=it.order.name, rows=rows, deadline=deadline)

    async def _grid_files(self, it: Shown, folder: Path) -> list[tuple[str, Path]]:
        found: list[tuple[str, Path]] = []
        for number, checkpoint in enumerate(it.checkpoints, 1):
            key = checkpoint.grid_artifact
            path = self.parts.artifacts.local_path(key) or await self.parts.artifacts.fetch(
                key, folder / f"{number}.png"
            )
            found.append((f"{number}: step {checkpoint.step}", path))
        return found

    async def _choice(self, it: Shown) -> None:
        choice = choice_of(it.order)
        if choice is not None:
            offer = button("Take the file already", "take", it.order.id, str(choice.step))
            text = wording_order.closed(name=it.order.name, choice=choice)
            await self.posting.post(it, "choice", text, view=row_of([offer]))

    async def _failure(self, it: Shown) -> None:
        """A failure of every attempt is told once: a retried order can fail again."""
        order = it.order
        retry = order.expires_at is not None and order.expires_at > now()
        text = wording_order.failure(name=order.name, fault=order.fault, reason=order.fault_reason, retry=retry)
        if it.mention:
            text = f"{wording.mention(order.owner_id)} {text}"
        view = row_of([button("Retry", "retry", order.id)] if retry else [])
        await self.posting.post(it, f"failed{order.attempt}", text, view=view, mention=True)

    async def _card(self, it: Shown) -> None:
        if "card" not in it.posts:
            it.delivery = await delivery.prepare(self.parts, it.order.id)
            try:
                await self._post_card(it, it.delivery)
            except discord.HTTPException as error:
                if error.status != 413 and error.code != 40005:
                    raise
                await self.parts.database.transact(delivery.too_large, it.order.id)
                raise
        if it.delivery is None or it.delivery.delivered_at is None or it.stage is Stage.DELIVERING:
            await self.parts.database.transact(_delivered, self.parts, it.order.id, posted=True)

    async def _post_card(self, it: Shown, row: Delivery) -> None:
        files = delivery.files_in(row)
        links = await links_of(self.parts)
        buttons: list[discord.ui.Item[Any]] = []
        if row.way == "download":
            buttons.append(button("Download", "download", it.order.id, str(row.step)))
        if links is not None:
            buttons.append(discord.ui.Button(label="See the whole order", url=links.page(it.order.id)))
        with tempfile.TemporaryDirectory() as folder:
            limit = it.order.max_file_bytes
            enclosed = await delivery.enclosures(self.parts, it.order, files, row.way, folder=Path(folder), limit=limit)
            gap("upload")
            loss = await delivery.compact_loss(self.parts, it.order.id)
            text = delivery.card_text(it, compact_loss=loss)
            await self.posting.post(it, "card", text, files=enclosed, view=row_of(buttons), mention=True)


def _delivered(session: Session, parts: Parts, order_id: str, *, posted: bool) -> None:
    """The order is handed over; where nothing can be posted it ends all the same, and the card follows if that changes."""
    order = orders.locked_order(session, order_id)
    row = session.get(Delivery, f"{order_id}:final:{order.chosen_step}")
    if row is None:
        return
    if posted and row.delivered_at is None:
        row.delivered_at = now()
    if order.stage == Stage.DELIVERING.value:
        orders.move(session, parts.engine, order_id, Stage.DELIVERED)
