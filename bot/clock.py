"""What happens because time passes: ballots fall due, drafts expire, cancels are carried out, lost work is set going again."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from sqlmodel import Session, col, select

from bot import ballots
from bot.parts import Parts
from bot.recount import Recounts, Uncounted
from storage import orders, retention
from storage.domain.lifecycle import TABLE, Mover, Stage
from storage.engine import stage_id
from storage.tables import Ballot, Delivery, Order, now

log = logging.getLogger(__name__)

TICK_S = 1.0
RECONCILE_EVERY = 5
"""Ticks between two looks at the stage workflows."""
POSTPONED_S = 15.0
"""A ballot whose votes could not be read is tried again after this."""
TIDY_S = 60.0
"""How often files are deleted that nobody needs any more."""
KEEP_WORKFLOWS = timedelta(days=30)
"""Ended workflows say nothing that the rows do not; the engine forgets them after this."""
OVERDUE_S = 60.0
"""A stage workflow whose effect is not there after this is started again, whatever the engine says of it."""
ALIVE = ("ENQUEUED", "DELAYED", "PENDING", "SUCCESS")


async def run(parts: Parts, recounts: Recounts) -> None:
    """Tick until cancelled. A tick that fails is logged; the next one does it all again."""
    ticking = _Clock(parts, recounts)
    while True:
        try:
            await ticking.tick()
        except Exception:
            log.exception("a tick of the clock failed; the next one tries again")
        await asyncio.sleep(min(TICK_S, parts.settings.look_s))


class _Clock:
    def __init__(self, parts: Parts, recounts: Recounts) -> None:
        self.parts = parts
        self.recounts = recounts
        self.ticks = 0
        self.next_tidy = 0.0
        self.postponed: dict[str, float] = {}
        self.missing_since: dict[str, float] = {}

    async def tick(self) -> None:
        await self._close_ballots()
        await self._carry_out_cancels()
        await self.parts.database.transact(orders.expire_drafts, now())
        if asyncio.get_running_loop().time() >= self.next_tidy:
            self.next_tidy = asyncio.get_running_loop().time() + TIDY_S
            await retention.tidy(self.parts.database, self.parts.artifacts, self.parts.settings)
            await self.parts.engine.forget(now() - KEEP_WORKFLOWS)
        if self.ticks % RECONCILE_EVERY == 0:
            await self._reconcile()
        self.ticks += 1

    async def _close_ballots(self) -> None:
        at = asyncio.get_running_loop().time()
        for ballot in await self.parts.database.transact(ballots.due, now()):
            if self.postponed.get(ballot.order_id, 0.0) > at or not await self._counted(ballot):
                continue
            self.postponed.pop(ballot.order_id, None)
            choice = await self.parts.database.transact(ballots.close, self.parts.engine, ballot.order_id)
            if choice is not None:
                log.info("order %s: step %d, because %s", ballot.order_id, choice.step, choice.because.value)

    async def _counted(self, ballot: Ballot) -> bool:
        """Whether the votes are as they are on Discord now, or can never be read any more."""
        if ballot.closed_at is not None:
            return True
        try:
            await self.recounts.count(ballot.order_id)
        except Uncounted as error:
            patience = timedelta(hours=self.parts.settings.ballot_patience_hours)
            if error.for_good or now() > ballot.deadline_at + patience:
                return True
            log.warning("closing the ballot of %s waits: %s", ballot.order_id, error)
            self.postponed[ballot.order_id] = asyncio.get_running_loop().time() + min(
                POSTPONED_S, 5 * self.parts.settings.recount_s
            )
            return False
        return True

    async def _carry_out_cancels(self) -> None:
        """A cancel that was written down but not carried out, because the bot ended in between."""
        for order_id in await self.parts.database.transact(_asked_to_cancel):
            turns = await self.parts.database.transact(orders.cancel, self.parts.engine, order_id)
            for turn in turns:
                await self.parts.engine.cancel(turn)

    async def _reconcile(self) -> None:
        """Every order that the bot moves has a stage workflow that did, or will do, its work."""
        lacking = await self.parts.database.transact(_without_effect)
        at = asyncio.get_running_loop().time()
        self.missing_since = {i: self.missing_since.get(i, at) for i, _, _ in lacking}
        names = {i: stage_id(i, stage, attempt) for i, stage, attempt in lacking}
        found = await asyncio.to_thread(self.parts.engine.statuses, list(names.values()))
        for order_id, stage, attempt in lacking:
            state = found.get(names[order_id])
            if state in ALIVE and at - self.missing_since[order_id] < OVERDUE_S:
                continue
            log.warning("order %s: its %s workflow is %s; started again", order_id, stage, state or "missing")
            await self.parts.database.transact(_again, self.parts, order_id, stage, attempt)
            self.missing_since.pop(order_id, None)


def _asked_to_cancel(session: Session) -> list[str]:
    ended = [s.value for s, row in TABLE.items() if not row.next]
    asked = select(Order.id).where(col(Order.cancel_by).is_not(None), col(Order.stage).not_in(ended))
    return list(session.exec(asked))


def _without_effect(session: Session) -> list[tuple[str, str, int]]:
    """Orders in a stage of the bot's whose handler has not left its row yet: (id, stage, attempt)."""
    waiting = orders.open_orders(session, *(s for s, row in TABLE.items() if row.mover is Mover.BOT))
    return [(o.id, o.stage, o.attempt) for o in waiting if not _has_effect(session, o)]


def _has_effect(session: Session, order: Order) -> bool:
    if order.stage == Stage.VOTING.value:
        return session.get(Ballot, order.id) is not None
    return session.get(Delivery, f"{order.id}:final:{order.chosen_step}") is not None


def _again(session: Session, parts: Parts, order_id: str, stage: str, attempt: int) -> None:
    order = orders.locked_order(session, order_id)
    if (order.stage, order.attempt) != (stage, attempt):
        return
    order.attempt += 1
    parts.engine.enqueue_stage(session, order_id, stage, order.attempt)
