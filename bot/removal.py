"""An order that a moderator removed: its files and messages go, and go again where something came after.

Its row stays, marked, so that nothing shows it or hands it over; a turn that was still running may store one more file.
"""

from __future__ import annotations

import logging
from datetime import timedelta

import discord
from sqlmodel import Session, col, delete, select

from bot.answers import UNREACHABLE
from bot.parts import Parts
from storage.drafts import locked_order
from storage.retention import Due, gone
from storage.tables import Attempt, Order, Post, now

log = logging.getLogger(__name__)

LAST_WORD = "-removed"
"""The mark of the one message that stays: it tells the owner why."""
TRIED_FOR = timedelta(days=7)
"""So long messages that could not be deleted are tried again."""


def mark_removed(session: Session, order_id: str, by: str, reason: str) -> Order:
    """From now on nothing of this order is shown or handed over. The first moderator's reason stays."""
    order = locked_order(session, order_id)
    if order.removed_at is None:
        order.removed_at, order.tidied = now(), ""
        order.cancel_by, order.cancel_reason = by, reason[:200]
    return order


async def unsay_and_delete(parts: Parts, order_id: str) -> int:
    """Delete all files and messages of an order; gives back how many messages are left, which stay known."""
    await parts.artifacts.delete(f"orders/{order_id}")
    posts = await parts.database.transact(_posts, order_id)
    return sum([not await _unsay(parts, post) for post in posts])


async def _unsay(parts: Parts, post: Post) -> bool:
    place = parts.discord.get_partial_messageable(int(post.channel_id))
    try:
        await place.get_partial_message(int(post.message_id)).delete()
    except discord.NotFound:
        pass
    except UNREACHABLE as error:
        log.warning("the message %s could not be deleted: %s", post.mark, error)
        return False
    await parts.database.transact(_forget_post, post.mark)
    return True


def unfinished(session: Session) -> list[str]:
    """Removed orders of which something may be left: a message, or a file of a turn that was still running."""
    late = now() - TRIED_FOR
    removed = select(Order.id).where(col(Order.removed_at).is_not(None), Order.tidied != "all")
    return [i for i in session.exec(removed.where(col(Order.removed_at) > late)) if not _runs(session, i)]


async def finish(parts: Parts, order_id: str) -> bool:
    """Once its last turn has ended, delete once more; says whether nothing is left."""
    if await unsay_and_delete(parts, order_id):
        return False
    everything = Due(order_id=order_id, keys=(), pictures=True, tidied="all")
    await parts.database.transact(gone, everything)
    return True


def _runs(session: Session, order_id: str) -> bool:
    wanted = select(Attempt.id).where(Attempt.order_id == order_id, Attempt.outcome == "running")
    return session.exec(wanted).first() is not None


def _posts(session: Session, order_id: str) -> list[Post]:
    wanted = select(Post).where(Post.order_id == order_id, ~col(Post.mark).endswith(LAST_WORD))
    return list(session.exec(wanted))


def _forget_post(session: Session, mark: str) -> None:
    session.exec(delete(Post).where(col(Post.mark) == mark))
