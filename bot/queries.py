"""`/queue` and `/status`: what is asked and nothing changed."""

from __future__ import annotations

from collections.abc import Sequence

import discord
from discord import app_commands
from sqlmodel import Session, col, select

from bot.answers import Interaction, acknowledge, say
from bot.parts import Parts
from bot.presses import button, row_of
from bot.prospects import Line, line_of
from bot.wording_queue import queue_text, status_text
from storage.domain.lifecycle import OPEN, Stage
from storage.speech import _
from storage.tables import Order, Progress
from storage.words import stage_words

BEFORE_THE_VOTE = frozenset({Stage.DRAFT, Stage.QUEUED, Stage.TRAINING})
MOST_CHOICES = 25
"""Discord shows so many."""
MOST_BUTTONS = 5
"""In one row."""
MOST = 10
"""Orders that `/status` lists."""


class Queries:
    """Answers about orders, for the asking member alone."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def queue(self, interaction: Interaction) -> None:
        """What trains, and who is next, as the fair queue has it. Orders of other servers are counted, not named."""
        await acknowledge(interaction)
        line = await self._parts.database.transact(line_of)
        await say(interaction, queue_text(line, str(interaction.guild_id)))

    async def status(self, interaction: Interaction) -> None:
        """The member's own orders here."""
        await acknowledge(interaction)
        rows, line = await self._parts.database.transact(_own, str(interaction.guild_id), str(interaction.user.id))
        await say(interaction, status_text(rows, line), _downloads([order for order, _ in rows]))

    async def newest_waiting(self, community_id: str, member_id: str) -> str | None:
        """The member's newest order here that people do not vote on yet: what `/cancel` means without an id."""
        found = await self._parts.database.transact(_cancellable, community_id, member_id)
        return next((o.id for o in found if Stage(o.stage) in BEFORE_THE_VOTE), None)

    async def cancellable(self, interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
        """The member's own open orders, offered while an id is being typed."""
        found = await self._parts.database.transact(_cancellable, str(interaction.guild_id), str(interaction.user.id))
        names = [(f"{o.name} ({o.id}): {stage_words(Stage(o.stage))}"[:100], o.id) for o in found]
        return [app_commands.Choice(name=n, value=i) for n, i in names if typed.lower() in n.lower()][:MOST_CHOICES]


def _downloads(orders: Sequence[Order]) -> discord.ui.View | None:
    """A button for each of the newest files: their threads may be gone."""
    ready = [o for o in orders if o.stage == Stage.DELIVERED and o.chosen_step is not None and o.removed_at is None]
    buttons = [
        button(_("Download {name}", name=o.name)[:80], "download", o.id, str(o.chosen_step))
        for o in ready[:MOST_BUTTONS]
    ]
    return row_of(buttons) if buttons else None


def _own(session: Session, community_id: str, member_id: str) -> tuple[list[tuple[Order, Progress | None]], Line]:
    wanted = select(Order).where(Order.community_id == community_id, Order.owner_id == member_id)
    orders = session.exec(wanted.order_by(col(Order.created_at).desc()).limit(MOST)).all()
    return [(o, session.get(Progress, o.id)) for o in orders], line_of(session)


def _cancellable(session: Session, community_id: str, member_id: str) -> list[Order]:
    stages = [s.value for s in OPEN | {Stage.FAILED}]
    wanted = select(Order).where(
        Order.community_id == community_id, Order.owner_id == member_id, col(Order.stage).in_(stages)
    )
    return list(session.exec(wanted.order_by(col(Order.created_at).desc()).limit(2 * MOST_CHOICES)).all())
