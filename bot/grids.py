"""What people vote on: a grid for every checkpoint, and the sheet with all of them side by side."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import discord
from sqlmodel import Session

from bot import delivery, wording_order
from bot.ballots import count_from_posting
from bot.parts import Parts
from bot.posting import Enclosure, Posting
from bot.presses import button, row_of
from bot.recount import KEYCAPS
from bot.sheet import make_sheet
from bot.shown import Face, Shown
from storage.domain.lifecycle import Stage
from storage.domain.measurement import Measurement
from storage.domain.orders import attachable_bytes, mark
from storage.tables import Checkpoint, Post

MAX_GRID_BYTES = 32 * 1024 * 1024
BARE_AFTER = 3
"""After so many tries in a row a grid or the sheet is posted without its picture: it can be voted on all the same."""


class Grids:
    """Brings the messages of a vote up to date; `tries` says how often in a row one of them could not be."""

    def __init__(self, posting: Posting, tries: Callable[[str, str], int]) -> None:
        self._posting, self._tries = posting, tries

    async def grid(self, it: Shown, checkpoint: Checkpoint, number: int) -> None:
        """A checkpoint's grid, with the reaction to vote for it."""
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
            view = row_of(take_button(self._posting.parts, it, checkpoint, wording_order.TAKE_THIS()))
            if file is None:
                text = f"{text}\n{wording_order.NO_PICTURE()}"
            await self._posting.post(it, what, text, files=[file] if file else [], view=view)
        if not Face.of(it.posts[what]).seeded:
            await self._posting.seed(it, what, [wording_order.VOTE_EMOJI])

    async def _grid_file(self, it: Shown, checkpoint: Checkpoint) -> Enclosure | None:
        """The grid to attach; None where it is gone, or cannot be posted however often that is tried."""
        if self._tries(it.order.id, str(checkpoint.step)) >= BARE_AFTER:
            return None
        try:
            picture, suffix = await self._grid_picture(it, checkpoint)
        except FileNotFoundError:
            return None
        alt = wording_order.grid_alt(step=checkpoint.step, name=it.order.name)
        return Enclosure(name=mark(it.order.id, str(checkpoint.step)) + suffix, what=picture, alt=alt)

    async def _grid_picture(self, it: Shown, checkpoint: Checkpoint) -> tuple[bytes, str]:
        """The grid as stored, with the ending of its name, or smaller where it would not fit an upload."""
        picture = await self._posting.parts.artifacts.read(checkpoint.grid_artifact, MAX_GRID_BYTES)
        if len(picture) <= attachable_bytes(it.order.max_file_bytes):
            return picture, ".png"
        with tempfile.TemporaryDirectory() as folder:
            whole = Path(folder) / "grid.png"
            await asyncio.to_thread(whole.write_bytes, picture)
            limit = attachable_bytes(it.order.max_file_bytes)
            small = await make_sheet([(f"step {checkpoint.step}", whole)], Path(folder), limit)
            return await asyncio.to_thread(small.read_bytes), small.suffix

    async def sheet(self, it: Shown) -> None:
        """All checkpoints with what they measure and got, and the numbers to vote with while that is open."""
        text = self._sheet_text(it)
        open_ = self._is_open(it)
        view = row_of([button(wording_order.FINISH(), "finish", it.order.id)] if open_ else [])
        if "sheet" not in it.posts:
            with tempfile.TemporaryDirectory() as folder:
                file = await self._sheet_file(it, Path(folder))
                files = [file] if file else []
                await self._posting.post(it, "sheet", text, files=files, view=view, mention=open_, also=self._late)
        face = Face.of(it.posts["sheet"])
        if open_ and not face.seeded:
            await self._posting.seed(it, "sheet", KEYCAPS[: len(it.checkpoints)])
        if face.text != text and (not open_ or self._posting.may_edit(it.posts["sheet"])):
            await self._posting.edit(it, "sheet", text, view=view)

    @staticmethod
    def _is_open(it: Shown) -> bool:
        """Whether people can still vote: a ballot is never closed where its order was cancelled or failed meanwhile."""
        return it.stage is Stage.VOTING and it.ballot is not None and it.ballot.closed_at is None

    def _late(self, session: Session, post: Post) -> None:
        count_from_posting(session, post.order_id, post.posted_at, self._posting.parts.settings.ballot_seconds)

    async def _sheet_file(self, it: Shown, folder: Path) -> Enclosure | None:
        """The sheet to attach; None where no grid is left, or it cannot be made or posted however often that is tried."""
        grids = await self._grid_files(it, folder)
        if not grids or self._tries(it.order.id, "sheet") >= BARE_AFTER:
            return None
        picture = await make_sheet(grids, folder, attachable_bytes(it.order.max_file_bytes))
        alt = wording_order.sheet_alt(it.steps)
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
        artifacts = self._posting.parts.artifacts
        for number, checkpoint in enumerate(it.checkpoints, 1):
            key = checkpoint.grid_artifact
            try:
                path = artifacts.local_path(key) or await artifacts.fetch(key, folder / f"{number}.png")
            except FileNotFoundError:
                continue
            if path.is_file():
                found.append((f"{number}: step {checkpoint.step}", path))
        return found

    async def last_sheet(self, it: Shown) -> None:
        """A vote that ended with its order is not open any more."""
        if "sheet" in it.posts and Face.of(it.posts["sheet"]).text != self._sheet_text(it):
            await self._posting.edit(it, "sheet", self._sheet_text(it))


def take_button(parts: Parts, it: Shown, checkpoint: Checkpoint, label: str) -> list[discord.ui.Item[Any]]:
    """The button that hands a checkpoint's file over, where there is a way to do that."""
    if not delivery.can_take(parts.settings, it.order, checkpoint.lora_bytes):
        return []
    return [button(label, "take", it.order.id, str(checkpoint.step))]
