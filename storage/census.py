"""Counts of the whole installation, for its operator: from rows, so that the bot can tell of workers that it never talks to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Mapped
from sqlmodel import Session, col, func, select

from storage import leases
from storage.switches import is_paused
from storage.tables import Attempt, LogEntry, Order, Piece, Vote, now

LOOKED_BACK = timedelta(days=1)
"""Waiting times are of orders that were started within this."""
MOST_WAITS = 1000


@dataclass(frozen=True, kw_only=True)
class Census:
    """One look."""

    orders: Mapping[str, int]
    """By stage."""
    pieces: Mapping[str, int]
    """Of GPU work, waiting and running."""
    workers: int
    gpus_busy: int
    """Workers that hold a turn."""
    gpu_s: float
    """GPU seconds of all turns that ended."""
    turns: Mapping[str, int]
    """By how they ended; those that run are in `gpus_busy`, as a count of what ended never falls."""
    steps_per_s: float
    """Of all trainings that run, by their newest entries."""
    votes: int
    oldest_wait_s: float
    """How long the piece that waits longest has waited; 0 where none does."""
    first_waits_s: tuple[float, ...]
    """Of recent orders, from Start to the first turn, shortest first."""
    paused: bool


def census(session: Session) -> Census:
    """Take it. 0.2 s of one processor with 100,000 orders, 500,000 turns and 300,000 votes on SQLite: not for every moment."""
    oldest = session.exec(select(func.min(Piece.since)).where(Piece.state == "waiting")).one()
    return Census(
        orders=_counts(session, col(Order.stage)),
        pieces=_counts(session, col(Piece.state), col(Piece.state).in_(("waiting", "running"))),
        workers=len(leases.workers(session)),
        gpus_busy=_busy(session),
        gpu_s=float(session.exec(select(func.coalesce(func.sum(Attempt.gpu_s), 0.0))).one()),
        turns=_counts(session, col(Attempt.outcome), col(Attempt.outcome) != "running"),
        steps_per_s=_steps_per_s(session),
        votes=session.exec(select(func.count()).select_from(Vote)).one(),
        oldest_wait_s=max(0.0, (now() - oldest).total_seconds()) if oldest else 0.0,
        first_waits_s=_first_waits(session),
        paused=is_paused(session),
    )


def _counts(session: Session, what: Mapped[str], *where: sa.ColumnElement[bool]) -> dict[str, int]:
    rows = session.execute(sa.select(what, sa.func.count()).where(*where).group_by(what)).all()
    return {str(name): int(count) for name, count in rows}


def _busy(session: Session) -> int:
    holders = select(func.count(sa.distinct(col(Piece.executor_id)))).where(Piece.state == "running")
    return session.exec(holders).one()


def _steps_per_s(session: Session) -> float:
    """The newest entry of every order that trains now."""
    running = sa.select(col(Piece.order_id)).where(col(Piece.state) == "running", col(Piece.kind) == "train")
    newest = (
        sa.select(col(LogEntry.order_id), sa.func.max(col(LogEntry.step)).label("step"))
        .where(col(LogEntry.order_id).in_(running))
        .group_by(col(LogEntry.order_id))
        .subquery()
    )
    entries = sa.select(sa.func.coalesce(sa.func.sum(col(LogEntry.steps_per_s)), 0.0)).join(
        newest, (newest.c.order_id == col(LogEntry.order_id)) & (newest.c.step == col(LogEntry.step))
    )
    return float(session.execute(entries).scalar_one())


def _first_waits(session: Session) -> tuple[float, ...]:
    begun = sa.func.min(col(Attempt.started_at))
    rows = session.execute(
        sa.select(col(Order.started_at), begun)
        .join(Attempt, col(Attempt.order_id) == col(Order.id))
        .where(col(Order.started_at) > now() - LOOKED_BACK)
        .group_by(col(Order.id), col(Order.started_at))
        .order_by(col(Order.started_at).desc())
        .limit(MOST_WAITS)
    ).all()
    return tuple(sorted((first - started).total_seconds() for started, first in rows))
