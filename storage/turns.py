"""Turns on the GPU: one piece of work for one worker, until the next boundary.

A turn in the engine's queue is anonymous: whoever runs it picks the piece that is next by `storage.domain.fairness`. Each
function works inside the caller's transaction; the fair queue's clock is held first, so that picks never overlap.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from sqlmodel import Session, col, select

from storage import orders, pieces
from storage.domain import fairness
from storage.domain.errors import Fault
from storage.domain.lifecycle import Stage
from storage.pieces import Enqueues, waiting
from storage.switches import is_paused, set_paused
from storage.tables import Attempt, Piece, now

__all__ = [
    "Outcome",
    "Taken",
    "awaited",
    "ensure_turns",
    "give_back",
    "give_up",
    "holds",
    "pause",
    "pick",
    "resume",
    "waiting",
]

MAX_FAILURES = 3
"""Turns in a row without progress after which the order fails: a piece that kills its worker must not go round for ever."""

Outcome = Literal["more", "done", "failed", "cancelled"]
"""How a turn ended: at a boundary with work left, with the piece's work done, without result, or because it was told to."""


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A turn in a worker's hands. It is valid while the row still names this turn and this executor: `holds`."""

    piece_id: str
    order_id: str
    kind: Literal["train", "sweep"]
    turn: int
    turn_key: str
    executor_id: str
    step: int
    """Steps that are trained and stored."""
    base: str


def awaited(session: Session, bases: Collection[str]) -> bool:
    """Whether a worker with these bases would be given something now; takes nothing."""
    return not is_paused(session) and fairness.next_for(frozenset(bases), waiting(session)) is not None


def pick(session: Session, engine: Enqueues, executor_id: str, bases: Collection[str], turn_key: str) -> Taken | None:
    """Take the fairest waiting piece that a worker with these bases can do; charge its estimate. None: nothing to do now."""
    pieces.virtual_time(session)
    if is_paused(session):
        return None
    left = waiting(session)
    while (chosen := fairness.next_for(frozenset(bases), left)) is not None:
        taken = _take(session, engine, chosen.piece_id, executor_id, turn_key)
        if taken is not None:
            return taken
        left = [w for w in left if w.piece_id != chosen.piece_id]
    return None


def _take(session: Session, engine: Enqueues, piece_id: str, executor_id: str, turn_key: str) -> Taken | None:
    order = orders.locked_order(session, piece_id.partition(":")[0])
    piece = _locked(session, piece_id)
    if piece.state != "waiting":  # cancelled between the look and the lock
        return None
    if order.stage == Stage.QUEUED.value:
        orders.move(session, engine, order.id, Stage.TRAINING)
    pieces.charge(session, piece)
    piece.state, piece.executor_id, piece.turn_key, piece.taken_at = "running", executor_id, turn_key, now()
    piece.turn += 1
    session.add(Attempt(id=f"{piece.id}:{piece.turn}", piece_id=piece.id, order_id=order.id, executor_id=executor_id))
    session.flush()
    return Taken(
        piece_id=piece.id,
        order_id=order.id,
        kind="train" if piece.kind == "train" else "sweep",
        turn=piece.turn,
        turn_key=turn_key,
        executor_id=executor_id,
        step=piece.step,
        base=piece.base,
    )


def holds(session: Session, taken: Taken) -> bool:
    """Whether this turn is still this worker's, to be asked in every transaction that writes what it made.

    The row is held until the transaction ends, so that nobody takes the turn away in between.
    """
    piece = _locked(session, taken.piece_id)
    return _same_turn(piece, taken) and piece.state == "running"


def give_back(session: Session, engine: Enqueues, taken: Taken, *, gpu_s: float, step: int, outcome: Outcome) -> bool:
    """End a turn: correct its charge to the measured seconds and, while work is left, let the piece wait again.

    Nothing happens where the row no longer names this turn and executor (the worker was taken for dead); then False.
    An order whose turns fail three times in a row without progress fails.
    """
    pieces.virtual_time(session)
    piece = _locked(session, taken.piece_id)
    attempt = session.get(Attempt, f"{taken.piece_id}:{taken.turn}")
    if not _same_turn(piece, taken) or attempt is None or attempt.outcome != "running":
        return False
    pieces.correct(session, piece, gpu_s)
    attempt.gpu_s, attempt.ended_at, attempt.outcome = gpu_s, now(), outcome
    if piece.state == "running":
        _after(session, engine, piece, step=step, outcome=outcome)
    return True


def _after(session: Session, engine: Enqueues, piece: Piece, *, step: int, outcome: Outcome) -> None:
    progress = step > piece.step
    piece.step = max(piece.step, step)
    piece.executor_id = piece.turn_key = None
    if outcome in ("done", "cancelled"):
        piece.state = outcome
        return
    piece.failures = 0 if outcome == "more" or progress else piece.failures + 1
    _wait_again(session, engine, piece, "the graphics card could not do this work in three attempts")


def _wait_again(session: Session, engine: Enqueues, piece: Piece, reason: str) -> None:
    piece.state, piece.since = "waiting", now()
    if piece.failures >= MAX_FAILURES:
        orders.fail(session, engine, piece.order_id, Fault.MACHINE, reason)
        return
    session.flush()
    piece.estimate_s = pieces.estimate_s(session, orders.plan_of(session, piece.order_id), piece.kind)
    pieces.wait_again(session, piece)
    engine.enqueue_turn(session, f"{piece.id}:{piece.turn + 1}")


def give_up(session: Session, engine: Enqueues, executor_id: str) -> int:
    """Take back every turn of a dead worker, at no charge to anybody; gives back how many. Safe to call twice."""
    pieces.virtual_time(session)
    lost = session.exec(
        select(Piece).where(Piece.executor_id == executor_id).order_by(col(Piece.id)).with_for_update()
    ).all()
    for piece in lost:
        attempt = session.get(Attempt, f"{piece.id}:{piece.turn}")
        if attempt is not None and attempt.outcome == "running":
            attempt.outcome, attempt.ended_at = "lost", now()
        pieces.correct(session, piece, 0.0)
        piece.executor_id = piece.turn_key = None
        if piece.state == "running":
            piece.failures += 1
            _wait_again(session, engine, piece, "the worker stopped three times during this work")
    return len(lost)


def ensure_turns(session: Session, engine: Enqueues, bases: Collection[str] | None = None) -> int:
    """Enqueue turns until there are as many as pieces that wait (for a worker with these bases); gives back how many.

    A turn is used up by a worker that could do nothing with it or by a pause, so workers call this with every beat.
    """
    if is_paused(session):
        return 0
    idle = [w for w in waiting(session) if bases is None or w.base in bases]
    missing = max(0, len(idle) - engine.turns_waiting()) if idle else 0
    for piece in idle[:missing]:
        engine.enqueue_turn(session, f"{piece.piece_id}:again:{secrets.token_hex(6)}")
    return missing


def pause(session: Session) -> None:
    """Give no more turns; those that run go on to their boundary."""
    set_paused(session, True)


def resume(session: Session, engine: Enqueues) -> int:
    """Give turns again."""
    set_paused(session, False)
    session.flush()
    return ensure_turns(session, engine)


def _locked(session: Session, piece_id: str) -> Piece:
    return session.exec(
        select(Piece).where(Piece.id == piece_id).with_for_update().execution_options(populate_existing=True)
    ).one()


def _same_turn(piece: Piece, taken: Taken) -> bool:
    return piece.turn == taken.turn and piece.executor_id == taken.executor_id
