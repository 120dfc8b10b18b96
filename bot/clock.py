"""What happens because time passes: ballots fall due, drafts and failed orders expire, files go, lost work is set going again."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session

from bot import ballots
from bot.parts import Parts
from bot.recount import Recounts, Uncounted
from storage import orders, outcomes, retention
from storage.domain.errors import Fault
from storage.domain.lifecycle import TABLE, Mover, Stage
from storage.domain.phrases import phrase
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
RESTART_S, LONGEST_RESTART_S = 2.5, 600.0
"""The waits between two starts of a stage workflow: the first, doubled every time, up to the second."""
MOST_RESTARTS = 10
"""After so many, in about forty minutes, an order whose stage is never carried out has failed."""
MOST_FAILURES = 6
"""After so many errors in a row a ballot that the program cannot close ends its order."""
ALIVE = ("ENQUEUED", "DELAYED", "PENDING", "SUCCESS")


async def run(parts: Parts, recounts: Recounts) -> None:
    """Tick until cancelled. What fails is logged; the next tick does it again."""
    ticking = _Clock(parts, recounts)
    while True:
        await ticking.tick()
        await asyncio.sleep(min(TICK_S, parts.settings.look_s))


class _Clock:
    def __init__(self, parts: Parts, recounts: Recounts) -> None:
        self.parts = parts
        self.recounts = recounts
        self.ticks = 0
        self.next_tidy = 0.0
        self.postponed: dict[str, float] = {}
        self.failures: dict[str, int] = {}
        """Errors in a row while a ballot was to be closed, by order."""
        self.missing_since: dict[str, float] = {}
        self.restarts: dict[str, int] = {}
        self.again_after: dict[str, float] = {}

    async def tick(self) -> None:
        """Every step by itself: what one of them meets does not stop the others."""
        for step in (self._close_ballots, self._expire, self._tidy, self._reconcile):
            try:
                await step()
            except Exception:
                log.exception("a step of the clock failed (%s); the next tick tries again", step.__name__)
        self.ticks += 1

    async def _expire(self) -> None:
        await self.parts.database.transact(orders.expire_drafts, now())
        await self.parts.database.transact(orders.expire_failed, now(), self.parts.settings.retry_days)

    async def _tidy(self) -> None:
        if asyncio.get_running_loop().time() < self.next_tidy:
            return
        self.next_tidy = asyncio.get_running_loop().time() + TIDY_S
        await retention.tidy(self.parts.database, self.parts.artifacts, self.parts.settings)
        await self.parts.engine.forget(now() - KEEP_WORKFLOWS)

    async def _close_ballots(self) -> None:
        for ballot in await self.parts.database.transact(ballots.due, now()):
            if self.postponed.get(ballot.order_id, 0.0) > asyncio.get_running_loop().time():
                continue
            try:
                await self._close(ballot)
            except Exception as error:
                log.exception("the ballot of %s could not be closed", ballot.order_id)
                self._postpone(ballot.order_id)
                if not isinstance(
                    error, SQLAlchemyError | OSError
                ):  # the database or a disk is away: nobody's order is to blame
                    await self._count_failure(ballot.order_id)

    async def _close(self, ballot: Ballot) -> None:
        if not await self._counted(ballot):
            return
        choice = await self.parts.database.transact(ballots.close, self.parts.engine, ballot.order_id)
        self.postponed.pop(ballot.order_id, None)
        self.failures.pop(ballot.order_id, None)
        if choice is not None:
            log.info("order %s: step %d, because %s", ballot.order_id, choice.step, choice.because.value)
            await self._learn()

    async def _learn(self) -> None:
        """From all outcomes anew: where this fails, or the bot is stopped before, the next ballot makes up for it."""
        try:
            revision = await self.parts.database.transact(outcomes.refit)
        except Exception:
            log.exception("nothing could be learned from the votes")
            return
        if revision is not None:
            log.info("learned from %d ballots: revision %d", revision.outcomes, revision.number)

    async def _counted(self, ballot: Ballot) -> bool:
        """Whether the votes are as they are on Discord now, or can never be read any more."""
        if ballot.closed_at is not None:
            return True
        try:
            await self.recounts.count(ballot.order_id, whole=True)
        except Uncounted as error:
            patience = timedelta(hours=self.parts.settings.ballot_patience_hours)
            if error.for_good or now() > ballot.deadline_at + patience:
                return True
            log.warning("closing the ballot of %s waits: %s", ballot.order_id, error)
            self._postpone(ballot.order_id)
            return False
        return True

    def _postpone(self, order_id: str) -> None:
        pause = min(POSTPONED_S, 5 * self.parts.settings.recount_s)
        self.postponed[order_id] = asyncio.get_running_loop().time() + pause

    async def _count_failure(self, order_id: str) -> None:
        self.failures[order_id] = self.failures.get(order_id, 0) + 1
        if self.failures[order_id] >= MOST_FAILURES:
            await self._fail(order_id, phrase("its vote could not be closed"))
            self.failures.pop(order_id, None)

    async def _fail(self, order_id: str, reason: str) -> None:
        log.error("order %s is given up: %s", order_id, reason)
        await self.parts.database.transact(orders.fail, self.parts.engine, order_id, Fault.PROGRAM, reason)

    async def _reconcile(self) -> None:
        """Every order that the bot moves has a stage workflow that did, or will do, its work."""
        if self.ticks % RECONCILE_EVERY:
            return
        lacking = await self.parts.database.transact(_without_effect)
        at = asyncio.get_running_loop().time()
        ids = {i for i, _, _ in lacking}
        self.missing_since = {i: self.missing_since.get(i, at) for i in ids}
        self.restarts = {i: n for i, n in self.restarts.items() if i in ids}
        names = {i: stage_id(i, stage, attempt) for i, stage, attempt in lacking}
        found = await asyncio.to_thread(self.parts.engine.statuses, list(names.values()))
        for order_id, stage, attempt in lacking:
            state = found.get(names[order_id])
            if state in ALIVE and at - self.missing_since[order_id] < OVERDUE_S:
                continue
            if self.restarts.get(order_id) is None or self.again_after[order_id] <= at:
                await self._set_going(order_id, stage, attempt, state)

    async def _set_going(self, order_id: str, stage: str, attempt: int, state: str | None) -> None:
        """Start a stage workflow again, later with every time; a stage that never does its work ends the order."""
        times = self.restarts[order_id] = self.restarts.get(order_id, 0) + 1
        if times > MOST_RESTARTS:
            await self._fail(order_id, phrase("one of its stages could not be carried out"))
            return
        pause = min(RESTART_S * 2.0**times, LONGEST_RESTART_S)
        self.again_after[order_id] = asyncio.get_running_loop().time() + pause
        log.warning("order %s: its %s workflow is %s; started again", order_id, stage, state or "missing")
        await self.parts.database.transact(_again, self.parts, order_id, stage, attempt)
        self.missing_since.pop(order_id, None)


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
