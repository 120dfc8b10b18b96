"""Votes, counted from the messages: who reacted under a grid or on the sheet, people only, each once per checkpoint.

Events only say "look again". A count replaces what was counted before; one that fails changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping

import aiohttp
import discord
from sqlmodel import Session, col, delete, select

from bot.marks import marks_at
from bot.parts import Parts
from bot.posting import UNKNOWN_CHANNEL, UNKNOWN_MESSAGE
from bot.shown import Shown, look_at
from bot.wording_order import VOTE_EMOJI
from storage.domain.lifecycle import Stage
from storage.domain.orders import mark
from storage.orders import open_orders
from storage.tables import Ballot, Checkpoint, Order, Post, Vote, now

log = logging.getLogger(__name__)

KEYCAPS: tuple[str, ...] = tuple(f"{n}️⃣" for n in range(1, 10))
"""The reactions of the sheet, one per checkpoint in order."""
MAX_PEOPLE = 20_000
"""More reactions than this on one emoji are not read."""
SKIN_TONES = "\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"
AGAIN_S = 15.0
"""A count that failed is tried again after this."""


class Uncounted(Exception):
    """The votes could not be read."""

    def __init__(self, reason: str, *, for_good: bool = False) -> None:
        super().__init__(reason)
        self.for_good = for_good
        """The place is gone: nobody will ever be able to read them."""


class Recounts:
    """Which orders have to be counted anew, and the counting."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._messages: set[str] = set()
        self._orders: set[str] = set()
        self._everywhere = False
        self._later: dict[str, float] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._woken = asyncio.Event()

    def look_again(self, message_id: str) -> None:
        """Something about the reactions under this message changed."""
        self._messages.add(message_id)
        self._woken.set()

    def look_again_everywhere(self) -> None:
        """Count every order anew that can still be voted on: nobody knows what was missed."""
        self._everywhere = True
        self._woken.set()

    async def run(self) -> None:
        """Count what changed, gathered over `recount_s`, until cancelled."""
        while True:
            await self._wait()
            try:
                await self._count_changed()
            except Exception:
                log.exception("what is to be counted could not be found out; it is tried again")
                asyncio.get_running_loop().call_later(AGAIN_S, self._woken.set)

    async def _wait(self) -> None:
        pause = min(self._later.values(), default=0.0) - asyncio.get_running_loop().time() if self._later else None
        try:
            await asyncio.wait_for(self._woken.wait(), None if pause is None else max(0.0, pause))
            await asyncio.sleep(self.parts.settings.recount_s)
        except TimeoutError:
            pass
        self._woken.clear()

    async def _count_changed(self) -> None:
        """What is to be counted is forgotten only when it was: whatever fails in between is looked at again."""
        at = asyncio.get_running_loop().time()
        messages, everywhere = frozenset(self._messages), self._everywhere
        self._orders |= await self.parts.database.transact(_orders_of, messages, everywhere)
        self._orders |= {order_id for order_id, when in self._later.items() if when <= at}
        self._messages -= messages
        self._everywhere = False  # said once more meanwhile, it is still counted below
        for order_id in sorted(self._orders):
            await self._count_or_later(order_id, at + AGAIN_S)

    async def _count_or_later(self, order_id: str, again_at: float) -> None:
        self._orders.discard(order_id)
        self._later.pop(order_id, None)
        try:
            await self.count(order_id)
        except Uncounted as error:
            log.warning("votes of %s not counted: %s", order_id, error)
            if not error.for_good:
                self._later[order_id] = again_at
        except Exception:
            log.exception("votes of %s not counted", order_id)
            self._later[order_id] = again_at

    async def count(self, order_id: str, *, whole: bool = False) -> None:
        """Count one order's votes and store them. Raises `Uncounted`, leaving what was counted last.

        With `whole`, for closing: raises it also while a grid or the sheet is not posted, so that nobody could vote there.
        """
        async with self._locks.setdefault(order_id, asyncio.Lock()):
            it = await self.parts.database.transact(look_at, order_id)
            if it is None or not it.checkpoints:
                return
            if it.removed:
                raise Uncounted("the bot was removed from the server", for_good=True)
            try:
                if whole:
                    await self._refuse_unposted(it)
                people, gone = await self._people(it)
            except discord.HTTPException as error:
                raise Uncounted(str(error), for_good=error.code == UNKNOWN_CHANNEL) from error
            except (discord.DiscordException, aiohttp.ClientError, OSError, TimeoutError) as error:
                raise Uncounted(f"{type(error).__name__}: {error}") from error
            await self.parts.database.transact(store, order_id, people, gone)

    async def _refuse_unposted(self, it: Shown) -> None:
        """Raise `Uncounted` unless everything that can be voted on is posted; what was posted and not written down is found."""
        lacking = [what for what in (*map(str, it.steps), "sheet") if what not in it.posts]
        if lacking and it.order.thread_id is not None:
            place = self.parts.discord.get_partial_messageable(int(it.order.thread_id))
            found = await marks_at(self.parts, place)
            for what in [w for w in lacking if mark(it.order.id, w) in found]:
                name = mark(it.order.id, what)
                post = Post(mark=name, order_id=it.order.id, channel_id=str(place.id), message_id=str(found[name]))
                it.posts[what] = await self.parts.database.transact(_take_over, post)
        if still := [what for what in lacking if what not in it.posts]:
            raise Uncounted(f"not posted yet: {', '.join(still)}")

    async def _people(self, it: Shown) -> tuple[dict[int, set[str]], set[int]]:
        """(people by step, steps one of whose messages somebody deleted)."""
        people: dict[int, set[str]] = {step: set() for step in it.steps}
        gone: set[int] = set()
        wanted: list[tuple[Post, Mapping[str, int]]] = [
            (it.posts[str(step)], {plain(VOTE_EMOJI): step}) for step in it.steps if str(step) in it.posts
        ]
        if "sheet" in it.posts:
            caps = zip(KEYCAPS, it.steps, strict=False)
            wanted.append((it.posts["sheet"], {plain(cap): step for cap, step in caps}))
        for post, steps in wanted:
            try:
                await self._read(post, steps, people)
            except discord.NotFound as error:
                if error.code != UNKNOWN_MESSAGE:
                    raise
                gone |= set(steps.values())
        return people, gone

    async def _read(self, post: Post, steps: Mapping[str, int], people: dict[int, set[str]]) -> None:
        place = self.parts.discord.get_partial_messageable(int(post.channel_id))
        message = await place.fetch_message(int(post.message_id))
        me = self.parts.discord.user
        for reaction in message.reactions:
            step = steps.get(plain(str(reaction.emoji)))
            if step is None or (reaction.me and reaction.count == 1):
                continue
            kinds = [discord.ReactionType.normal] + [discord.ReactionType.burst] * bool(reaction.burst_count)
            for kind in kinds:
                async for user in reaction.users(limit=MAX_PEOPLE, type=kind):
                    if not user.bot and (me is None or user.id != me.id):
                        people[step].add(str(user.id))


def plain(emoji: str) -> str:
    """An emoji without skin tone and variation: a vote is a vote in every colour."""
    return "".join(c for c in emoji if c not in SKIN_TONES and c != "️")


def store(session: Session, order_id: str, people: Mapping[int, Collection[str]], gone: Collection[int] = ()) -> None:
    """Replace the votes of an order, unless its ballot is closed. Where a message was deleted, its last seen votes stay."""
    ballot = session.get(Ballot, order_id)
    if ballot is not None and ballot.closed_at is not None:
        return
    session.exec(select(Order).where(Order.id == order_id).with_for_update()).one()
    before = {(v.step, v.user_id) for v in session.exec(select(Vote).where(Vote.order_id == order_id))}
    kept = {(step, user) for step, user in before if step in gone}
    votes = kept | {(step, user) for step, users in people.items() for user in users}
    if votes != before:
        session.exec(delete(Vote).where(col(Vote.order_id) == order_id))
        session.add_all(Vote(order_id=order_id, step=step, user_id=user) for step, user in sorted(votes))
    for checkpoint in session.exec(select(Checkpoint).where(Checkpoint.order_id == order_id)):
        checkpoint.votes = sum(step == checkpoint.step for step, _ in votes)
    if ballot is not None:
        ballot.counted_at = now()


def _take_over(session: Session, post: Post) -> Post:
    return session.get(Post, post.mark) or session.merge(post)


def _orders_of(session: Session, message_ids: Collection[str], everywhere: bool) -> set[str]:  # noqa: FBT001  # `transact` passes positions
    found = set(session.exec(select(Post.order_id).where(col(Post.message_id).in_(message_ids))))
    return found | {order.id for order in open_orders(session, Stage.TRAINING, Stage.VOTING) if everywhere}
