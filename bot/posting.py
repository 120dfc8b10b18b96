"""Messages of an order, each made exactly once and found again by its mark.

The mark is the nonce of the send, and it stays readable in the message: as the name of its attachment, or as the last small
line of its text. Before this process posts into a place for the first time, and after every send whose end is unknown, the
place's recent messages are read and what is there already is taken over.
"""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import discord
from sqlmodel import Session

from bot import posted
from bot.marks import marked, marks_at
from bot.parts import Parts
from bot.shown import Face, Shown
from bot.wording_order import thread_below
from storage.domain.orders import mark
from storage.faults import gap
from storage.tables import Post, now

log = logging.getLogger(__name__)

MOST_PLACES = 1000
"""Places whose marks are remembered; what is forgotten is read again."""
THREAD_EXISTS = 160004
UNKNOWN_CHANNEL = 10003
UNKNOWN_MESSAGE = 10008
TOO_MANY_EDITS = 30046
NO_ACCESS, NOT_ALLOWED = 50001, 50013
THREAD_ARCHIVED = 50083
THREAD_LOCKED = 160005
NOT_IN_THIS_CHANNEL = 50024
TOO_MANY_THREADS = 160006
NO_THREAD = (NOT_IN_THIS_CHANNEL, TOO_MANY_THREADS, NO_ACCESS, NOT_ALLOWED)
"""Answers to opening a thread that do not pass by themselves."""
WEEK_MIN: Literal[10080] = 10080
"""A thread goes quiet after a week without a message; a post brings it back."""
ROOTS = ("root", "root2", "root3")
"""Messages that a thread is made from where the plan card is gone, or its thread was deleted: so often it is made anew."""
SEED_AGAIN_S = 300.0
"""Where reactions are not allowed, they are tried again after this."""


class Unreachable(Exception):
    """This place cannot be posted to: its thread was deleted again and again."""


@dataclass(frozen=True, kw_only=True)
class Enclosure:
    """A file to attach."""

    name: str
    what: Path | bytes
    alt: str | None = None

    def open(self) -> discord.File:
        """As discord.py takes it; a path is streamed, not read into memory."""
        source = io.BytesIO(self.what) if isinstance(self.what, bytes) else self.what
        return discord.File(source, filename=self.name, description=self.alt[:1024] if self.alt else None)


def unreachable(error: discord.HTTPException) -> bool:
    """Whether this answer means that posting there is over until somebody changes something."""
    return isinstance(error, discord.Forbidden) or error.code in (UNKNOWN_CHANNEL, THREAD_LOCKED, *NO_THREAD)


async def open_thread(message: discord.PartialMessage, name: str) -> int:
    """The thread under a message: a new one, or the one that is there. Raises what Discord answers."""
    try:
        thread = await message.create_thread(name=name, auto_archive_duration=WEEK_MIN)
    except discord.HTTPException as error:
        if error.code != THREAD_EXISTS:
            raise
        return message.id  # a thread has the id of the message it was made from
    return thread.id


class Posting:
    """Posts of one bot process. A send that fails leaves nothing behind that a later one would double."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._seen: dict[int, dict[str, int]] = {}
        self._lost: set[str] = set()
        """Threads that were deleted: nothing can be posted there, and no other one be made from the same message."""
        self._seed_after: dict[str, float] = {}

    async def thread(self, it: Shown) -> discord.PartialMessageable:
        """The order's thread; made from its plan message where it is missing."""
        if it.order.thread_id is None:
            thread_id = await self._make_thread(it)
            await self.parts.database.transact(posted.keep_thread, it.order.id, str(thread_id))
            it.order.thread_id = str(thread_id)
        return self.place(it, it.order.thread_id)

    async def post(
        self,
        it: Shown,
        what: str,
        text: str,
        *,
        files: Sequence[Enclosure] = (),
        view: discord.ui.View | None = None,
        place: discord.PartialMessageable | None = None,
        mention: bool = False,
        also: Callable[[Session, Post], None] | None = None,
    ) -> Post:
        """The message of this mark: the one that is there, or a new one. Only the owner can be mentioned, and only if asked.

        `also` is done in the transaction that writes a new one down.
        """
        if what in it.posts:
            return it.posts[what]
        place = place or await self.thread(it)
        name = mark(it.order.id, what)
        found = (await self._marks(place)).get(name)
        more = {"allowed_mentions": _mentions(it, mention=mention)} | ({"view": view} if view is not None else {})
        message_id = found or await self._send(place, name, text, files, **more)
        if place.id in self._seen:  # for whoever looked at the rows before it was written down
            self._seen[place.id][name] = message_id
        gap("post-record")
        said = Face(text=text).to_json()
        post = Post(
            mark=name, order_id=it.order.id, channel_id=str(place.id), message_id=str(message_id), shown_json=said
        )
        it.posts[what] = await self.parts.database.transact(posted.record, post, also)
        return it.posts[what]

    async def edit(self, it: Shown, what: str, text: str, *, view: discord.ui.View | None = None) -> None:
        """Bring a message to this text. A message that somebody deleted is forgotten, so that it can be made anew."""
        post = it.posts[what]
        try:
            await self._message(post).edit(
                content=marked(text, post.mark), view=view, allowed_mentions=discord.AllowedMentions.none()
            )
        except discord.HTTPException as error:
            if error.code not in (UNKNOWN_MESSAGE, TOO_MANY_EDITS):
                raise
            await self.forget(it, what)
            return
        it.posts[what] = await self.parts.database.transact(posted.say, post.mark, text)

    def may_edit(self, post: Post) -> bool:
        """Whether a message that changes by itself may change again: not oftener than the operator wants."""
        last = post.edited_at or post.posted_at
        return now() - last >= timedelta(seconds=self.parts.settings.status_s)

    async def forget(self, it: Shown, what: str) -> None:
        """Let a message be made anew: it is gone, or too old to be edited (then it is deleted)."""
        post = it.posts.pop(what)
        try:
            await self._message(post).delete()
        except discord.HTTPException as error:
            if error.code != UNKNOWN_MESSAGE:
                raise
        await self.parts.database.transact(posted.forget, post.mark)
        self._seen.get(int(post.channel_id), {}).pop(post.mark, None)

    async def seed(self, it: Shown, what: str, emoji: Iterable[str]) -> None:
        """Put the first reactions under a message, once. Doing it twice is harmless, a kill in between is made good.

        Where the bot may not react, people still can: nothing waits for it, and it is tried again now and then.
        """
        post = it.posts[what]
        at = asyncio.get_running_loop().time()
        if self._seed_after.get(post.channel_id, 0.0) > at:
            return
        try:
            await self._seed(post, emoji)
        except discord.Forbidden as error:
            log.warning("no first reactions in channel %s: %s", post.channel_id, error)
            self._seed_after[post.channel_id] = at + SEED_AGAIN_S
        else:
            it.posts[what] = await self.parts.database.transact(posted.seeded, post.mark)

    async def _seed(self, post: Post, emoji: Iterable[str]) -> None:
        message = self._message(post)
        for one in emoji:
            try:
                await message.add_reaction(one)
            except discord.HTTPException as error:
                if error.code == UNKNOWN_MESSAGE:
                    break
                if error.code != THREAD_ARCHIVED:
                    raise
                await self._wake(int(post.channel_id))
                await message.add_reaction(one)

    async def _wake(self, thread_id: int) -> None:
        thread = await self.parts.discord.fetch_channel(thread_id)
        if isinstance(thread, discord.Thread):
            await thread.edit(archived=False)

    def place(self, it: Shown, channel_id: str) -> discord.PartialMessageable:
        """A channel or thread of the order's server."""
        return self.parts.discord.get_partial_messageable(int(channel_id), guild_id=int(it.order.community_id))

    def _message(self, post: Post) -> discord.PartialMessage:
        place = self.parts.discord.get_partial_messageable(int(post.channel_id))
        return place.get_partial_message(int(post.message_id))

    async def forget_thread(self, it: Shown) -> None:
        """The thread was deleted with all that was said in it: the order gets another one, and says it there."""
        lost = str(it.order.thread_id)
        log.warning("the thread of order %s is gone; another one is made", it.order.id)
        self._lost.add(lost)
        self._seen.pop(int(lost), None)
        await self.parts.database.transact(posted.forget_thread, it.order.id, lost)
        it.order.thread_id = None
        it.posts = {what: post for what, post in it.posts.items() if post.channel_id != lost}

    async def thread_deleted(self, thread_id: str) -> bool:
        """Discord says that a thread is gone: whether it was that of an order that goes on, which gets another one."""
        self._lost.add(thread_id)
        self._seen.pop(int(thread_id), None)
        return await self.parts.database.transact(posted.forget_deleted, thread_id)

    async def _make_thread(self, it: Shown) -> int:
        place = self.place(it, it.order.channel_id)
        for what in ("plan", *ROOTS):
            if what in ROOTS:
                await self.post(it, what, thread_below(it.order.name), place=place)
            root = it.posts.get(what)
            if root is None or root.message_id in self._lost:
                continue
            message = self.place(it, root.channel_id).get_partial_message(int(root.message_id))
            try:
                return await open_thread(message, it.order.name[:90] or it.order.id)
            except discord.NotFound as error:
                if error.code != UNKNOWN_MESSAGE:
                    raise
        raise Unreachable(f"the thread of order {it.order.id} was deleted {len(ROOTS)} times")

    async def _send(
        self,
        place: discord.PartialMessageable,
        name: str,
        text: str,
        files: Sequence[Enclosure],
        **more: Any,  # noqa: ANN401  # what discord.py takes besides
    ) -> int:
        in_a_file = any(f.name.partition(".")[0] == name for f in files)
        content = text if in_a_file else marked(text, name)
        opened = [f.open() for f in files]
        try:
            sent = await place.send(content, files=opened, nonce=name, suppress_embeds=True, **more)
        except BaseException:
            self._seen.pop(place.id, None)  # it may have arrived: look before the next try
            raise
        finally:
            for file in opened:
                file.close()
        return int(sent.id)

    async def _marks(self, place: discord.PartialMessageable) -> dict[str, int]:
        if place.id not in self._seen:
            if len(self._seen) >= MOST_PLACES:
                self._seen.clear()
            self._seen[place.id] = await marks_at(self.parts, place)
        return self._seen[place.id]


def _mentions(it: Shown, *, mention: bool) -> discord.AllowedMentions:
    if not (mention and it.mention):
        return discord.AllowedMentions.none()
    return discord.AllowedMentions(everyone=False, roles=False, users=[discord.Object(int(it.order.owner_id))])
