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
from bot.ballots import count_from_posting
from bot.checking import show_checkup
from bot.links import links_of
from bot.parts import Parts
from bot.posting import UNKNOWN_CHANNEL, Enclosure, Posting, Unreachable, unreachable
from bot.presses import button, row_of
from bot.progress import ended_text, status_text
from bot.recount import KEYCAPS
from bot.sheet import make_sheet
from bot.shown import ENDED, Face, Shown
from storage import orders, shares
from storage.domain.lifecycle import Stage
from storage.domain.measurement import Measurement
from storage.domain.orders import attachable_bytes, mark
from storage.faults import gap
from storage.tables import Checkpoint, Delivery, Post, now
from storage.view import choice_of

log = logging.getLogger(__name__)

OLD_STATUS = timedelta(minutes=50)
"""Discord limits edits of messages older than an hour, so an older status message that changes is replaced by a new one."""
MAX_GRID_BYTES = 32 * 1024 * 1024
TOO_LARGE = 40005
LONGEST_REST_S = 300.0
"""The longest time between two tries of one message."""
BARE_AFTER = 3
"""After so many tries in a row a grid or the sheet is posted without its picture: it can be voted on all the same."""


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
        self._rests: dict[str, _Rest] = {}

    async def show(self, it: Shown) -> None:
        """Bring one order's thread up to date; a thread that was deleted is made anew."""
        if it.order.removed_at is None and not self._has_begun(it):
            return
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
        ended = [("status", partial(self._last_status, it, it.stage)), ("sheet", partial(self._last_sheet, it))]
        if it.stage is Stage.CANCELLED:
            return [*ended, ("cancelled", partial(self._cancelled, it))]
        if it.stage is Stage.EXPIRED:
            return [*ended, ("failed", partial(self._failure, it)), ("expired", partial(self._expired, it))]
        over = it.stage in ENDED
        status = partial(self._last_status, it, it.stage) if over else partial(self._status, it)
        wanted: list[tuple[str, Bring]] = [("status", status)]
        wanted.append(("pictures", partial(show_checkup, self.posting, it)))
        for number, checkpoint in enumerate(it.checkpoints, 1):
            wanted.append((str(checkpoint.step), partial(self._grid, it, checkpoint, number)))
        if it.ballot is not None:
            wanted.append(("sheet", partial(self._sheet, it)))
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
        if Face.of(post).text != text and self._may_edit(post):
            await self.posting.edit(it, "status", text)

    async def _last_status(self, it: Shown, stage: Stage) -> None:
        """Where there is a status message it says that the order has ended; none is made for that."""
        text = ended_text(it.order.name, stage)
        if "status" in it.posts and Face.of(it.posts["status"]).text != text:
            await self.posting.edit(it, "status", text)

    async def _last_sheet(self, it: Shown) -> None:
        """A vote that ended with its order is not open any more."""
        if "sheet" in it.posts and Face.of(it.posts["sheet"]).text != self._sheet_text(it):
            await self.posting.edit(it, "sheet", self._sheet_text(it))

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
            before = max((s for s in it.steps if s < checkpoint.step), default=0)
            text = wording_order.grid_caption(
                step=checkpoint.step,
                steps=steps,
                number=number,
                of=of,
                measurement=measured,
                signs=[sign for sign in it.signs if before < sign.step <= checkpoint.step],
            )
            file = await self._grid_file(it, checkpoint)
            view = row_of(self._offer(it, checkpoint, "Take this one"))
            if file is None:
                text = f"{text}\n{wording_order.NO_PICTURE}"
            await self.posting.post(it, what, text, files=[file] if file else [], view=view)
        if not Face.of(it.posts[what]).seeded:
            await self.posting.seed(it, what, [wording_order.VOTE_EMOJI])

    async def _grid_file(self, it: Shown, checkpoint: Checkpoint) -> Enclosure | None:
        """The grid to attach; None where it is gone, or cannot be posted however often that is tried."""
        if self.tries(it.order.id, str(checkpoint.step)) >= BARE_AFTER:
            return None
        try:
            picture, suffix = await self._grid_picture(it, checkpoint)
        except FileNotFoundError:
            return None
        alt = wording_order.grid_alt(step=checkpoint.step, name=it.order.name)
        return Enclosure(name=mark(it.order.id, str(checkpoint.step)) + suffix, what=picture, alt=alt)

    async def _grid_picture(self, it: Shown, checkpoint: Checkpoint) -> tuple[bytes, str]:
        """The grid as stored, with the ending of its name, or smaller where it would not fit an upload."""
        picture = await self.parts.artifacts.read(checkpoint.grid_artifact, MAX_GRID_BYTES)
        if len(picture) <= attachable_bytes(it.order.max_file_bytes):
            return picture, ".png"
        with tempfile.TemporaryDirectory() as folder:
            whole = Path(folder) / "grid.png"
            await asyncio.to_thread(whole.write_bytes, picture)
            limit = attachable_bytes(it.order.max_file_bytes)
            small = await make_sheet([(f"step {checkpoint.step}", whole)], Path(folder), limit)
            return await asyncio.to_thread(small.read_bytes), small.suffix

    async def _sheet(self, it: Shown) -> None:
        text = self._sheet_text(it)
        open_ = self._is_open(it)
        view = row_of([button("Finish the vote now", "finish", it.order.id)] if open_ else [])
        if "sheet" not in it.posts:
            with tempfile.TemporaryDirectory() as folder:
                file = await self._sheet_file(it, Path(folder))
                files = [file] if file else []
                await self.posting.post(it, "sheet", text, files=files, view=view, mention=open_, also=self._late)
        face = Face.of(it.posts["sheet"])
        if open_ and not face.seeded:
            await self.posting.seed(it, "sheet", KEYCAPS[: len(it.checkpoints)])
        if face.text != text and (not open_ or self._may_edit(it.posts["sheet"])):
            await self.posting.edit(it, "sheet", text, view=view)

    @staticmethod
    def _is_open(it: Shown) -> bool:
        """Whether people can still vote: a ballot is never closed where its order was cancelled or failed meanwhile."""
        return it.stage is Stage.VOTING and it.ballot is not None and it.ballot.closed_at is None

    def _late(self, session: Session, post: Post) -> None:
        count_from_posting(session, post.order_id, post.posted_at, self.parts.settings.ballot_seconds)

    async def _sheet_file(self, it: Shown, folder: Path) -> Enclosure | None:
        """The sheet to attach; None where no grid is left, or it cannot be made or posted however often that is tried."""
        grids = await self._grid_files(it, folder)
        if not grids or self.tries(it.order.id, "sheet") >= BARE_AFTER:
            return None
        picture = await make_sheet(grids, folder, attachable_bytes(it.order.max_file_bytes))
        alt = f"All checkpoints side by side: steps {', '.join(map(str, it.steps))}."
        return Enclosure(name=mark(it.order.id, "sheet") + picture.suffix, what=picture, alt=alt)

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
        deadline = it.ballot.deadline_at if it.ballot is not None and self._is_open(it) else None
        return wording_order.sheet(name=it.order.name, rows=rows, deadline=deadline)

    async def _grid_files(self, it: Shown, folder: Path) -> list[tuple[str, Path]]:
        """The grids that are there, with their labels."""
        found: list[tuple[str, Path]] = []
        for number, checkpoint in enumerate(it.checkpoints, 1):
            key = checkpoint.grid_artifact
            try:
                path = self.parts.artifacts.local_path(key) or await self.parts.artifacts.fetch(
                    key, folder / f"{number}.png"
                )
            except FileNotFoundError:
                continue
            if path.is_file():
                found.append((f"{number}: step {checkpoint.step}", path))
        return found

    async def _choice(self, it: Shown) -> None:
        choice = choice_of(it.order)
        if choice is None:
            return
        text = wording_order.closed(name=it.order.name, choice=choice)
        chosen = [c for c in it.checkpoints if c.step == choice.step]
        offers = [offer for c in chosen for offer in self._offer(it, c, "Take the file now")]
        await self.posting.post(it, "choice", text, view=row_of(offers))

    def _offer(self, it: Shown, checkpoint: Checkpoint, label: str) -> list[discord.ui.Item[Any]]:
        """The button that hands a checkpoint's file over, where there is a way to do that."""
        if not delivery.can_take(self.parts.settings, it.order, checkpoint.lora_bytes):
            return []
        return [button(label, "take", it.order.id, str(checkpoint.step))]

    async def _failure(self, it: Shown) -> None:
        """A failure of every attempt is told once: a retried order can fail again. When it is over its button goes."""
        order, over = it.order, it.stage is Stage.EXPIRED
        what = f"failed{order.attempt - over}"
        retry = orders.can_retry(order)
        text = wording_order.failure(name=order.name, fault=order.fault, reason=order.fault_reason, retry=retry)
        if it.mention:
            text = f"{wording.mention(order.owner_id)} {text}"
        view = row_of([button("Retry", "retry", order.id)] if retry else [])
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
        text = delivery.card_text(it, compact_loss=await delivery.compact_loss(self.parts, it.order.id))
        if Face.of(it.posts["card"]).text != text:
            await self.posting.edit(it, "card", text, view=await self._card_buttons(it, it.delivery))

    async def _card_buttons(self, it: Shown, row: Delivery) -> discord.ui.View:
        links = await links_of(self.parts)
        buttons: list[discord.ui.Item[Any]] = []
        if row.way == "download":
            buttons.append(button("Download", "download", it.order.id, str(row.step)))
        if links is not None:
            buttons.append(discord.ui.Button(label="See the whole order", url=links.page(it.order.id)))
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
