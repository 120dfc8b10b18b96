"""What the bot tidies up by itself: old plan cards, drafts that were not finished, pictures of ended ones, owners who left."""

from __future__ import annotations

import asyncio
import logging

from sqlmodel import Session, col, select

from bot import removal
from bot.absence import Absence
from bot.intake import Intake
from bot.parts import Parts
from bot.plan_card import PlanCards, phase_of
from storage.domain.lifecycle import Stage
from storage.tables import Order, Post

log = logging.getLogger(__name__)

TICK_S = 2.0
RESTS_S = 60.0
"""A card that could not be brought up to date is let be for so long."""
UNSAY_AGAIN_S = 900.0
"""Messages of removed orders that could not be deleted are tried again after this."""


class Housekeeping:
    """A loop that compares and mends; each round begins from what storage says."""

    def __init__(self, parts: Parts, cards: PlanCards, absence: Absence, intake: Intake) -> None:
        self._parts = parts
        self._intake = intake
        self._cards = cards
        self._absence = absence
        self._resting: dict[str, float] = {}
        self._next_absence = 0.0

    async def run(self) -> None:
        """Go round until cancelled."""
        while True:
            for step in (self.tidy_cards, self._intake.tend, self._finish_removals, self._look_for_absence):
                try:
                    await step()
                except Exception:
                    log.exception("a round of tidying failed (%s); the next one tries again", step.__name__)
            await asyncio.sleep(min(TICK_S, 2 * self._parts.settings.look_s))

    async def _look_for_absence(self) -> None:
        loop = asyncio.get_running_loop()
        if self._parts.discord.is_ready() and loop.time() >= self._next_absence:
            self._next_absence = loop.time() + self._parts.settings.absence_s
            await self._absence.look()

    async def _finish_removals(self) -> None:
        at = asyncio.get_running_loop().time()
        for order_id in await self._parts.database.transact(removal.unfinished):
            key = f"{order_id}:removed"
            if self._resting.get(key, 0.0) <= at and not await removal.finish(self._parts, order_id):
                self._resting[key] = at + UNSAY_AGAIN_S

    async def tidy_cards(self) -> None:
        """Bring the cards of orders that moved on up to date; delete the pictures of drafts that ended."""
        at = asyncio.get_running_loop().time()
        self._resting = {i: until for i, until in self._resting.items() if until > at}
        for order in await self._parts.database.transact(stale_cards):
            if order.id in self._resting:
                continue
            if order.started_at is None and order.stage in (Stage.EXPIRED, Stage.CANCELLED):
                await self._parts.artifacts.delete(f"orders/{order.id}/pictures")
            try:
                await self._cards.show(order.id)
            except Exception:
                self._resting[order.id] = at + RESTS_S
                log.exception("the plan card of %s is not up to date", order.id)


def stale_cards(session: Session) -> list[Order]:
    """Orders whose card was last shown in another phase than they are in now."""
    rows = session.exec(
        select(Order, Post)
        .join(Post, col(Post.order_id) == col(Order.id))
        .where(col(Post.mark).endswith("-plan"), ~col(Post.shown_json).startswith("ended:"))
    ).all()
    return [order for order, post in rows if post.shown_json.partition(":")[0] != phase_of(order)]
