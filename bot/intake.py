"""From a member's pictures to a plan card: acknowledged, written down, fetched, checked, stored, shown.

The draft's row with its links is written right after the acknowledgement; everything later can be done again from it. So a
kill between the two halves loses nothing: at the next start `resume` goes on with every draft that still has links, and so
does `tend` while the bot runs, where anything failed.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import discord

from bot.answers import (
    UNREACHABLE,
    Declined,
    Interaction,
    acknowledge,
    missing_permissions,
    refuse_without_threads,
    say,
    say_later,
)
from bot.download import AT_ONCE, Downloads
from bot.drafting import (
    Wish,
    add_pictures,
    drafts_to_ask,
    drafts_to_resume,
    forget_token,
    give_up_links,
    remember_subject,
    waiting_links,
    write_draft,
)
from bot.languages import language_of_owner
from bot.modals import about_modal, words_in
from bot.parts import Parts
from bot.plan_card import PlanCards
from bot.presses import button, row_of
from bot.wording import ADDING, CHECKING, NO_PICTURES, WHAT_DO_THEY_SHOW, permissions_missing
from bot.wording_plan import SUBJECT_WORDS
from storage.doctor import admit
from storage.domain.errors import OrderFault, OrderRefused, PictureFault, PictureRefused
from storage.domain.orders import SubjectType
from storage.drafts import Link, refuse_picture, twins
from storage.faults import gap
from storage.logs import about
from storage.pictures import Checker, Kept, limits_for, near_twin
from storage.retention import is_full
from storage.speech import speaking
from storage.tables import Picture

log = logging.getLogger(__name__)

FOR_THE_CARD = ("view_channel", "send_messages", "embed_links", "read_message_history")
"""What has to be allowed before pictures are taken: without it the plan could not be shown."""
FIRST_REST_S, LONGEST_REST_S = 2.0, 300.0
"""The waits before a draft whose pictures could not be finished is taken up again: the first, doubled up to the second."""
MOST_TRIES = 6
"""After so many tries, in about a minute, the pictures that still lack are refused, so that the others can be used."""
ROOM_EVERY_S = 30.0
"""How long a look at the disk is believed."""


@dataclass(kw_only=True)
class _Room:
    full: bool = False
    looked_at: float = -1e9


@dataclass(frozen=True, kw_only=True)
class _Trouble:
    """A draft whose pictures could not be finished."""

    tries: int
    not_before: float


class Intake:
    """The part of the bot that takes pictures in."""

    def __init__(self, parts: Parts, cards: PlanCards, downloads: Downloads) -> None:
        self._parts = parts
        self._cards = cards
        self._downloads = downloads
        self._checker = Checker()
        self._working: dict[str, asyncio.Task[None]] = {}
        self._room = _Room()
        self._troubles: dict[str, _Trouble] = {}

    async def begin(self, interaction: Interaction, wish: Wish, links: Sequence[Link]) -> None:
        """A new draft from pictures that came with a command, a modal or a message. Acknowledges first."""
        await acknowledge(interaction)
        if not links:
            return await say(interaction, NO_PICTURES())
        refuse_without_threads(interaction)
        if missing := missing_permissions(interaction, FOR_THE_CARD):
            raise Declined(permissions_missing(missing, before_start=True))
        await self._refuse_when_full()
        order_id = await self._parts.database.transact(write_draft, self._parts.settings, wish, links)
        if wish.subject is None:
            return await say(interaction, WHAT_DO_THEY_SHOW(), _subjects(order_id))
        await say(interaction, CHECKING())
        self.settle(order_id)
        return None

    async def choose_subject(self, interaction: Interaction, arguments: tuple[str, ...]) -> None:
        """The answer to "What do the pictures show?" opens a form that asks for the words."""
        order_id, kind = arguments
        await interaction.response.send_modal(about_modal(order_id, SubjectType(kind)))

    async def remember_words(self, interaction: Interaction, arguments: tuple[str, ...]) -> None:
        """That form came back: what the pictures show is known, and they are taken in."""
        await acknowledge(interaction)
        order_id, kind = arguments
        owner, (name, class_word) = str(interaction.user.id), words_in(dict(interaction.data or {}))
        await self._parts.database.transact(
            remember_subject, order_id, owner, SubjectType(kind), name=name, class_word=class_word
        )
        await say(interaction, CHECKING())
        self.settle(order_id)

    async def add(self, interaction: Interaction, order_id: str, links: Sequence[Link]) -> None:
        """More pictures for a draft, from the modal under its card. Acknowledges first."""
        await acknowledge(interaction)
        if not links:
            return await say(interaction, NO_PICTURES())
        await self._refuse_when_full()
        await self._parts.database.transact(add_pictures, order_id, str(interaction.user.id), links)
        await say(interaction, ADDING())
        self.settle(order_id)
        return None

    async def resume(self) -> None:
        """Go on with the drafts of the last run. What lies in the folder of raw files is of that run: it goes."""
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
        for order_id, token in await self._parts.database.transact(drafts_to_resume):
            self.settle(order_id)
            if token:
                with speaking(await self._parts.database.transact(language_of_owner, order_id)):
                    await say_later(self._parts.discord, token, CHECKING())
        for order_id, token in await self._parts.database.transact(drafts_to_ask):
            with speaking(await self._parts.database.transact(language_of_owner, order_id)):
                await say_later(self._parts.discord, token, WHAT_DO_THEY_SHOW(), _subjects(order_id))

    async def tend(self) -> None:
        """Settle every draft that lacks something and is not being worked on: whatever failed is tried again."""
        at = asyncio.get_running_loop().time()
        drafts = [order_id for order_id, _ in await self._parts.database.transact(drafts_to_resume)]
        self._troubles = {i: trouble for i, trouble in self._troubles.items() if i in drafts}
        for order_id in drafts:
            trouble = self._troubles.get(order_id)
            if order_id not in self._working and (trouble is None or trouble.not_before <= at):
                self.settle(order_id)

    def settle(self, order_id: str) -> None:
        """Fetch, check and store what a draft still lacks, in the background; then show its card."""
        before = self._working.get(order_id)
        with about(order_id):  # task and callback keep the context that they were made in
            task = asyncio.create_task(self._settle(order_id, before), name=f"intake-{order_id}")
            task.add_done_callback(lambda done: self._done(order_id, done))
        self._working[order_id] = task

    async def close(self) -> None:
        """Stop; what was not finished is resumed by the next run."""
        for task in list(self._working.values()):
            task.cancel()
        await asyncio.gather(*self._working.values(), return_exceptions=True)
        await self._checker.close()

    def _done(self, order_id: str, task: asyncio.Task[None]) -> None:
        if self._working.get(order_id) is task:
            del self._working[order_id]
        if task.cancelled():
            return
        if (error := task.exception()) is None:
            self._troubles.pop(order_id, None)
            return
        before = self._troubles.get(order_id)
        tries = 1 + (before.tries if before else 0)
        pause = min(FIRST_REST_S * 2.0 ** (tries - 1), LONGEST_REST_S)
        self._troubles[order_id] = _Trouble(tries=tries, not_before=task.get_loop().time() + pause)
        log.error("the pictures of draft %s were not finished; again in %.0f s", order_id, pause, exc_info=error)

    async def _settle(self, order_id: str, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        gap("ack-download")
        trouble = self._troubles.get(order_id)
        if trouble is not None and trouble.tries >= MOST_TRIES:
            await self._parts.database.transact(give_up_links, order_id)
        await self._fetch_all(order_id)
        if len(self._working) == 1:
            await self._checker.close()
        await self._show(order_id)
        await self._parts.database.transact(forget_token, order_id)

    async def _fetch_all(self, order_id: str) -> None:
        folder = self._folder / order_id
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        try:
            while waiting := await self._parts.database.transact(waiting_links, order_id):
                await self._take_group(waiting[:AT_ONCE], folder)
        except OrderRefused as refusal:  # it was cancelled or has expired meanwhile
            log.info("draft %s: %s; its pictures go", order_id, refusal)
            await self._parts.artifacts.delete(f"orders/{order_id}/pictures")
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def _show(self, order_id: str) -> None:
        for pause_s in (1.0, 5.0, 30.0, None):
            try:
                await self._cards.show(order_id)
            except UNREACHABLE as error:
                log.warning("the plan card of %s could not be posted: %s", order_id, error)
                if pause_s is None:
                    raise
                await asyncio.sleep(pause_s)
            else:
                return

    async def _take_group(self, group: Sequence[Picture], folder: Path) -> None:
        """A few at a time, in the order they were sent, so that of two twins the first is kept."""
        fetched = [asyncio.create_task(self._fetch(p, folder)) for p in group]
        try:
            for picture, download in zip(group, fetched, strict=True):
                await self._take(picture, download)
        finally:
            for download in fetched:
                download.cancel()
            await asyncio.gather(*fetched, return_exceptions=True)

    async def _fetch(self, picture: Picture, folder: Path) -> Path:
        path = folder / f"{picture.position}.raw"
        await self._downloads.fetch(picture.source_url, path)
        return path

    async def _take(self, picture: Picture, download: asyncio.Task[Path]) -> None:
        database = self._parts.database
        try:
            found, twin = await self._checked(picture, await download)
        except PictureRefused as refusal:
            await database.transact(refuse_picture, picture.id, refusal.fault, refusal.detail)
            return
        except Exception:  # of this machine or program: it costs this one picture, and the member reads of it
            log.exception("picture %s could not be looked at", picture.id)
            await database.transact(refuse_picture, picture.id, PictureFault.DOWNLOAD_FAILED)
            return
        await admit(database, self._parts.artifacts, picture, found, twin=twin)

    async def _checked(self, picture: Picture, raw: Path) -> tuple[Kept, str | None]:
        """The picture, and which other one it nearly is."""
        try:
            found = await self._checker.check(raw, limits_for(self._parts.settings.base))
        finally:
            await asyncio.to_thread(raw.unlink, missing_ok=True)
        return found, near_twin(found, await self._parts.database.transact(twins, picture.order_id))

    async def _refuse_when_full(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() - self._room.looked_at > ROOM_EVERY_S:
            full = await is_full(self._parts.artifacts, self._parts.settings)
            self._room = _Room(full=full, looked_at=loop.time())
        if self._room.full:
            raise OrderRefused(OrderFault.DISK_FULL)

    @property
    def _folder(self) -> Path:
        return self._parts.settings.data_dir / "incoming"


def _subjects(order_id: str) -> discord.ui.View:
    """A button for every kind of subject."""
    return row_of(button(_capital(words()), "subject", order_id, kind.value) for kind, words in SUBJECT_WORDS.items())


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
