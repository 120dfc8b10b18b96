"""Owners who left and servers that removed the bot: what waits is cancelled, what trains is finished, ballots close.

Without the privileged members intent nobody tells the bot that a member left, so owners of waiting orders are looked up now
and then.
"""

from __future__ import annotations

import logging

import discord
from sqlmodel import Session, col, select

from bot.answers import UNREACHABLE
from bot.cancelling import cancel_order
from bot.parts import Parts
from storage.domain.lifecycle import Stage
from storage.domain.phrases import phrase
from storage.orders import open_orders
from storage.tables import Ballot, Community, Member, Order, now

log = logging.getLogger(__name__)

WAITING = (Stage.DRAFT, Stage.QUEUED)
UNKNOWN_MEMBER, UNKNOWN_USER = 10007, 10013


class Absence:
    """Looks after the orders of those who are gone."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def server_left(self, guild_id: int) -> None:
        """The bot was removed from a server: cancel what waits there, close its ballots by what is known."""
        waiting = await self._parts.database.transact(_close_community, str(guild_id))
        for order_id in waiting:
            await cancel_order(
                self._parts, order_id, member_id="", reason=phrase("the bot was removed from the server"), by="system"
            )
        log.info("removed from server %d: %d waiting orders cancelled", guild_id, len(waiting))

    async def server_back(self, guild_id: int) -> None:
        """The bot is in this server (again)."""
        await self._parts.database.transact(_open_community, str(guild_id))

    async def look(self) -> None:
        """Cancel the waiting orders of owners who are no longer in the server; end ballots of owners who left.

        The same for servers that removed the bot while it was not running.
        """
        for order in await self._parts.database.transact(open_orders, *WAITING, Stage.VOTING):
            if not order.community_id.isdigit():  # made without Discord
                continue
            guild = self._parts.discord.get_guild(int(order.community_id))
            if guild is None:
                await self.server_left(int(order.community_id))
            elif await _is_gone(guild, int(order.owner_id)):
                await self._owner_left(order)

    async def _owner_left(self, order: Order) -> None:
        await self._parts.database.transact(_owner_left, order.community_id, order.owner_id)
        if order.stage == Stage.VOTING:
            await self._parts.database.transact(_close_ballots, [order.id])
            return
        await cancel_order(self._parts, order.id, member_id="", reason=phrase("its owner left the server"), by="system")


async def _is_gone(guild: discord.Guild, member_id: int) -> bool:
    """Whether Discord says that this member is not there; any other trouble is no proof."""
    try:
        await guild.fetch_member(member_id)
    except discord.NotFound as error:
        return error.code in (UNKNOWN_MEMBER, UNKNOWN_USER)
    except UNREACHABLE:
        return False
    return False


def _close_community(session: Session, community_id: str) -> list[str]:
    """Mark the server as left; gives back its waiting orders. Its ballots fall due at once."""
    community = session.get(Community, community_id)
    if community is None:
        return []
    community.removed_at = now()
    orders = session.exec(select(Order).where(Order.community_id == community_id)).all()
    _close_ballots(session, [o.id for o in orders if o.stage == Stage.VOTING])
    return [o.id for o in orders if Stage(o.stage) in WAITING]


def _open_community(session: Session, community_id: str) -> None:
    community = session.get(Community, community_id)
    if community is not None:
        community.removed_at = None


def _close_ballots(session: Session, order_ids: list[str]) -> None:
    ballots = session.exec(select(Ballot).where(col(Ballot.order_id).in_(order_ids), col(Ballot.closed_at).is_(None)))
    for ballot in ballots:
        ballot.deadline_at = min(ballot.deadline_at, now())


def _owner_left(session: Session, community_id: str, member_id: str) -> None:
    member = session.get(Member, (community_id, member_id))
    if member is not None:
        member.left_at = member.left_at or now()
