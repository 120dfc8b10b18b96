"""The thread of an order, from top to bottom: status, grids, sheet, choice, card. Each message is made once.

`show` compares rows with what was posted and does what is missing, each message by itself. What is wrong with one message
alone (its picture is gone, say) lets that one rest; what is wrong with the place or the connection is raised, and the
announcer waits.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import discord
from sqlmodel import Session

from bot import delivery, wording, wording_order
from bot.checking import show_checkup
from bot.grids import Grids, take_button
from bot.links import links_of
from bot.parts import Parts
from bot.posting import UNKNOWN_CHANNEL, Posting, Unreachable, unreachable
from bot.presses import button, row_of
from bot.progress import ended_text, status_text
from bot.shown import ENDED, Face, Shown
from storage import orders, shares
from storage.domain.lifecycle import Stage
from storage.domain.orders import mark
from storage.faults import gap
from storage.speech import speaking
from storage.tables import Delivery, Post, now
from storage.view import choice_of

log = logging.getLogger(__name__)

OLD_STATUS = timedelta(minutes=50)
"""Discord limits edits of messages older than an hour, so an older status message that changes is replaced by a new one."""
TOO_LARGE = 40005
LONGEST_REST_S = 300.0
"""The longest time between two tries of one message."""


Bring = Callable[[], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class _Rest:
    """A message that could not be brought up to date."""

    tries: int
    until: float


class Threads:
    """Brings threads of orders up to date."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.posting = Posting(parts)
        self._grids = Grids(self.posting, self.tries)
        self._rests: dict[str, _Rest] = {}

    async def show(self, it: Shown) -> None:
        """Bring one order's thread up to date; a thread that was deleted is made anew."""
        if it.order.removed_at is None and not self._has_begun(it):
            return
        with speaking(it.language):
            try:
                await self._show(it)
            except discord.HTTPException as error:
                if error.code != UNKNOWN_CHANNEL or it.order.thread_id in (None, it.order.channel_id):
                    raise
                await self.posting.forget_thread(it)
                await self._show(it)

    @staticmethod
    def _has_begun(it: Shown) -> bool:
        """Whether there is a thread, or something to make one for."""
        ended_unheard = it.stage is Stage.CANCELLED and it.order.thread_id is None
        return it.order.started_at is not None and not ended_unheard

    def tries(self, order_id: str, what: str) -> int:
        """How often in a row this message could not be brought up to date."""
        rest = self._rests.get(mark(order_id, what))
        return rest.tries if rest else 0

    async def _show(self, it: Shown) -> None:
        if it.order.removed_at is None:
            await self.posting.thread(it)
        for what, bring in self._wanted(it):
            await self._apart(mark(it.order.id, what), bring)

    def _wanted(self, it: Shown) -> list[tuple[str, Bring]]:
        """The messages that the thread should hold, from top to bottom; once an order has ended, its last word."""
        if it.order.removed_at is not None:
            return [("removed", partial(self._removed, it))]
        ended = [("status", partial(self._last_status, it, it.stage)), ("sheet", partial(self._grids.last_sheet, it))]
        if it.stage is Stage.CANCELLED:
            return [*ended, ("cancelled", partial(self._cancelled, it))]
        if it.stage is Stage.EXPIRED:
            return [*ended, ("failed", partial(self._failure, it)), ("expired", partial(self._expired, it))]
        over = it.stage in ENDED
        status = partial(self._last_status, it, it.stage) if over else partial(self._status, it)
        wanted: list[tuple[str, Bring]] = [("status", status)]
        wanted.append(("pictures", partial(show_checkup, self.posting, it)))
        for number, checkpoint in enumerate(it.checkpoints, 1):
            wanted.append((str(checkpoint.step), partial(self._grids.grid, it, checkpoint, number)))
        if it.ballot is not None:
            wanted.append(("sheet", partial(self._grids.sheet, it)))
        if it.order.choice_json:
            wanted.append(("choice", partial(self._choice, it)))
        if it.stage in (Stage.DELIVERING, Stage.DELIVERED):
            wanted.append(("card", partial(self._card, it)))
        if it.stage is Stage.FAILED:
            wanted.append(("failed", partial(self._failure, it)))
        return wanted

    async def _apart(self, name: str, bring: Bring) -> None:
        """One message by itself: what is wrong with it alone holds up no other one. Raises what is wrong with the whole place."""
        at = asyncio.get_running_loop().time()
        before = self._rests.get(name)
        if before is not None and before.until > at:
            return
        try:
            await bring()
        except Exception as error:
            if of_the_place(error):
                raise
            tries = 1 + (before.tries if before else 0)
            pause = min(self.parts.settings.look_s * 2.0 ** min(tries, 10), LONGEST_REST_S)
            self._rests[name] = _Rest(tries=tries, until=at + pause)
            log.warning("the message %s waits (try %d)", name, tries, exc_info=error)
        else:
            self._rests.pop(name, None)

    async def _status(self, it: Shown) -> None:
        text = await status_text(self.parts, it)
        old = it.posts.get("status")
        if old is not None and Face.of(old).text != text and self._too_old(old):
            await self.posting.forget(it, "status")
        post = await self.posting.post(it, "status", text)
        if Face.of(post).text != text and self.posting.may_edit(post):
            await self.posting.edit(it, "status", text)

    async def _last_status(self, it: Shown, stage: Stage) -> None:
        """Where there is a status message it says that the order has ended; none is made for that."""
        text = ended_text(it.order.name, stage)
        if "status" in it.posts and Face.of(it.posts["status"]).text != text:
            await self.posting.edit(it, "status", text)

    def _too_old(self, post: Post, at: datetime | None = None) -> bool:
        return (at or now()) - post.posted_at > OLD_STATUS

    async def _choice(self, it: Shown) -> None:
        choice = choice_of(it.order)
        if choice is None:
            return
        text = wording_order.closed(name=it.order.name, choice=choice)
        chosen = [c for c in it.checkpoints if c.step == choice.step]
        offers = [offer for c in chosen for offer in take_button(self.parts, it, c, wording_order.TAKE_NOW())]
        await self.posting.post(it, "choice", text, view=row_of(offers))

    async def _failure(self, it: Shown) -> None:
        """A failure of every attempt is told once: a retried order can fail again. When it is over its button goes."""
        order, over = it.order, it.stage is Stage.EXPIRED
        what = f"failed{order.attempt - over}"
        retry = orders.can_retry(order)
        text = wording_order.failure(name=order.name, fault=order.fault, reason=order.fault_reason, retry=retry)
        if it.mention:
            text = f"{wording.mention(order.owner_id)} {text}"
        view = row_of([button(wording_order.RETRY(), "retry", order.id)] if retry else [])
        post = await self.posting.post(it, what, text, view=view, mention=True)
        if over and Face.of(post).text != text:
            await self.posting.edit(it, what, text, view=view)

    async def _expired(self, it: Shown) -> None:
        await self.posting.post(it, "expired", wording_order.given_up(it.order.name))

    async def _cancelled(self, it: Shown) -> None:
        order = it.order
        text = wording.cancelled(order.name, by=wording.who_cancelled(order.cancel_by), reason=order.cancel_reason)
        await self.posting.post(it, "cancelled", text)

    async def _removed(self, it: Shown) -> None:
        """In the thread, or where the order was asked for if there is none (any more)."""
        text = wording.removed(it.order.name, it.order.cancel_reason)
        if it.mention:
            text = f"{wording.mention(it.order.owner_id)} {text}"
        place = self.posting.place(it, it.order.thread_id or it.order.channel_id)
        await self.posting.post(it, "removed", text, place=place, mention=True)

    async def _card(self, it: Shown) -> None:
        if "card" not in it.posts:
            it.delivery = await delivery.prepare(self.parts, it.order.id)
            try:
                await self._post_card(it, it.delivery)
            except discord.HTTPException as error:
                if error.status != 413 and error.code != TOO_LARGE:
                    raise
                await self.parts.database.transact(delivery.too_large, it.order.id)
                raise
        if it.delivery is None or it.delivery.delivered_at is None or it.stage is Stage.DELIVERING:
            await self._apart(mark(it.order.id, "ended"), partial(self._last_status, it, Stage.DELIVERED))
            await self.parts.database.transact(delivered, self.parts, it.order.id, posted=True)

    async def _post_card(self, it: Shown, row: Delivery) -> None:
        files = delivery.files_in(row)
        view = await self._card_buttons(it, row)
        with tempfile.TemporaryDirectory() as folder:
            limit = it.order.max_file_bytes
            enclosed = await delivery.enclosures(self.parts, it.order, files, row.way, folder=Path(folder), limit=limit)
            gap("upload")
            loss = await delivery.compact_loss(self.parts, it.order.id)
            text = delivery.card_text(it, compact_loss=loss)
            await self.posting.post(it, "card", text, files=enclosed, view=view, mention=True)

    async def card_again(self, it: Shown) -> None:
        """Brings the words of a card up to date that is there; its files and buttons stay."""
        if it.delivery is None or "card" not in it.posts:
            return
        loss = await delivery.compact_loss(self.parts, it.order.id)
        with speaking(it.language):
            text = delivery.card_text(it, compact_loss=loss)
            if Face.of(it.posts["card"]).text != text:
                await self.posting.edit(it, "card", text, view=await self._card_buttons(it, it.delivery))

    async def _card_buttons(self, it: Shown, row: Delivery) -> discord.ui.View:
        links = await links_of(self.parts)
        buttons: list[discord.ui.Item[Any]] = []
        if row.way == "download":
            buttons.append(button(wording_order.DOWNLOAD(), "download", it.order.id, str(row.step)))
        if links is not None:
            buttons.append(discord.ui.Button(label=wording_order.WHOLE_ORDER(), url=links.page(it.order.id)))
        return row_of(buttons)


def of_the_place(error: Exception) -> bool:
    """Whether an error is of the place, of Discord or of the connection, and so of every message alike."""
    if isinstance(error, discord.HTTPException):
        return unreachable(error) or error.status >= 500 or error.status in (401, 429)
    return isinstance(
        error, discord.DiscordException | aiohttp.ClientError | TimeoutError | ConnectionError | Unreachable
    )


def delivered(session: Session, parts: Parts, order_id: str, *, posted: bool) -> None:
    """The order is handed over; where nothing can be posted it ends all the same, and the card follows if that changes."""
    order = orders.locked_order(session, order_id)
    row = session.get(Delivery, f"{order_id}:final:{order.chosen_step}")
    if row is None:
        return
    if posted and row.delivered_at is None:
        row.delivered_at = now()
    if order.stage == Stage.DELIVERING.value:
        orders.move(session, parts.engine, order_id, Stage.DELIVERED)
        shares.wanted(session, order, parts.settings.hub_namespace)
