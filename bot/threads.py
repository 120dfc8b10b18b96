"""The thread of an order, from top to bottom: status, grids, sheet, choice, card. Each message is made once.

`show` compares rows with what was posted and does what is missing; it raises what Discord answers, and the announcer waits.
"""

from __future__ import annotations

import asyncio
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import discord
from sqlmodel import Session

from bot import delivery, wording, wording_order
from bot.links import links_of
from bot.parts import Parts
from bot.posting import Enclosure, Posting
from bot.presses import button, row_of
from bot.progress import status_text
from bot.recount import KEYCAPS
from bot.sheet import make_sheet
from bot.shown import Face, Shown
from storage import orders
from storage.domain.lifecycle import Stage
from storage.domain.measurement import Measurement
from storage.domain.orders import mark
from storage.faults import gap
from storage.tables import Checkpoint, Delivery, Post, now
from storage.view import choice_of

OLD_STATUS = timedelta(minutes=50)
"""Discord limits edits of messages older than an hour, so an older status message is replaced by a new one."""
MAX_GRID_BYTES = 32 * 1024 * 1024
TOO_LARGE = 40005


class Threads:
    """Brings threads of orders up to date."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.posting = Posting(parts)

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
            picture, suffix = await self._grid_picture(it, checkpoint)
            alt = wording_order.grid_alt(step=checkpoint.step, name=it.order.name)
            file = Enclosure(name=mark(it.order.id, what) + suffix, what=picture, alt=alt)
            view = row_of([button("Take this one", "take", it.order.id, what)])
            await self.posting.post(it, what, text, files=[file], view=view)
        if not Face.of(it.posts[what]).seeded:
            await self.posting.seed(it, what, [wording_order.VOTE_EMOJI])

    async def _grid_picture(self, it: Shown, checkpoint: Checkpoint) -> tuple[bytes, str]:
        """The grid as stored, with the ending of its name, or smaller where it would not fit an upload."""
        picture = await self.parts.artifacts.read(checkpoint.grid_artifact, MAX_GRID_BYTES)
        if len(picture) + delivery.SPARE_BYTES <= it.order.max_file_bytes:
            return picture, ".png"
        with tempfile.TemporaryDirectory() as folder:
            whole = Path(folder) / "grid.png"
            await asyncio.to_thread(whole.write_bytes, picture)
            limit = it.order.max_file_bytes - delivery.SPARE_BYTES
            small = await make_sheet([(f"step {checkpoint.step}", whole)], Path(folder), limit)
            return await asyncio.to_thread(small.read_bytes), small.suffix

    async def _sheet(self, it: Shown) -> None:
        text = self._sheet_text(it)
        open_ = it.ballot is not None and it.ballot.closed_at is None
        view = row_of([button("Finish the vote now", "finish", it.order.id)] if open_ else [])
        if "sheet" not in it.posts:
            with tempfile.TemporaryDirectory() as folder:
                picture = await make_sheet(
                    await self._grid_files(it, Path(folder)),
                    Path(folder),
                    it.order.max_file_bytes - delivery.SPARE_BYTES,
                )
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
                if error.status != 413 and error.code != TOO_LARGE:
                    raise
                await self.parts.database.transact(delivery.too_large, it.order.id)
                raise
        if it.delivery is None or it.delivery.delivered_at is None or it.stage is Stage.DELIVERING:
            await self.parts.database.transact(delivered, self.parts, it.order.id, posted=True)

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
