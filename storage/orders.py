"""Orders: what moves them from stage to stage. Every function works inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlmodel import Session, col, func, select

from storage.domain.choice import Candidate
from storage.domain.errors import Fault, OrderFault, OrderRefused
from storage.domain.lifecycle import BUSY, OPEN, TABLE, Mover, Stage, check_move
from storage.domain.measurement import Measurement
from storage.domain.orders import MIN_PICTURES
from storage.domain.plan import Departure, Plan
from storage.drafts import (
    add_links,
    expire_drafts,
    keep_picture,
    kept,
    linked,
    locked_order,
    open_draft,
    pictures_of,
    refuse_picture,
    twins,
)
from storage.faults import gap
from storage.pieces import Enqueues, add_piece, end_pieces, plan_of
from storage.tables import Checkpoint, DepartureRow, Member, Order, Piece, PlanRow, now

__all__ = [
    "add_links",
    "ask_cancel",
    "can_retry",
    "cancel",
    "candidates",
    "checkpoints_of",
    "departures_of",
    "expire_drafts",
    "expire_failed",
    "fail",
    "keep_picture",
    "kept",
    "linked",
    "locked_order",
    "move",
    "open_draft",
    "open_orders",
    "pictures_of",
    "plan_of",
    "refuse_picture",
    "refuse_start",
    "retry",
    "start",
    "twins",
]


def start(session: Session, engine: Enqueues, order_id: str, plan: Plan, *, most: int = 1) -> Order:
    """From draft to the queue in one transaction: plan, piece of work, first turn.

    Raises `OrderRefused`: TOO_LATE when it is no draft any more, TOO_FEW_PICTURES, ALREADY_RUNNING when this member has
    `most` other orders queued or training here. Two Starts at once: the member's row is held, so one of them wins.
    """
    order = locked_order(session, order_id)
    refuse_start(session, order, most)
    session.add(PlanRow(order_id=order_id, plan_json=plan.to_json()))
    order.started_at, order.expires_at, order.interaction_token = now(), None, ""
    move(session, engine, order_id, Stage.QUEUED)
    add_piece(session, engine, order, "train")
    gap("enqueue-commit")
    return order


def refuse_start(session: Session, order: Order, most: int = 1) -> None:
    """Raise `OrderRefused`, as `start` does, where this order could not be started now."""
    if order.stage != Stage.DRAFT.value:
        raise OrderRefused(OrderFault.TOO_LATE)
    if (count := len(kept(session, order.id))) < MIN_PICTURES:
        raise OrderRefused(OrderFault.TOO_FEW_PICTURES, f"{count} of at least {MIN_PICTURES}")
    _refuse_more(session, order, most)


def _refuse_more(session: Session, order: Order, most: int) -> None:
    session.exec(
        select(Member).where(Member.community_id == order.community_id, Member.id == order.owner_id).with_for_update()
    ).one()
    busy = session.exec(
        select(func.count())
        .select_from(Order)
        .where(
            Order.community_id == order.community_id,
            Order.owner_id == order.owner_id,
            Order.id != order.id,
            col(Order.stage).in_([s.value for s in BUSY]),
        )
    ).one()
    if busy >= most:
        raise OrderRefused(OrderFault.ALREADY_RUNNING, "" if most == 1 else f"{busy} of {most}")


def move(session: Session, engine: Enqueues, order_id: str, stage: Stage | str) -> Order:
    """To the next stage, with what sets it going in the same transaction. Raises `IllegalMove`.

    Where the bot moves next its stage workflow is enqueued; a sweep is a piece of GPU work. (The training piece is added by
    `start` and `retry`.)
    """
    stage = Stage(stage)
    order = locked_order(session, order_id)
    check_move(Stage(order.stage), stage)
    order.stage = stage.value
    order.attempt += 1
    if not TABLE[stage].next:
        order.finished_at = now()
    session.add(order)
    session.flush()
    if TABLE[stage].mover is Mover.BOT:
        engine.enqueue_stage(session, order_id, stage.value, order.attempt)
    if stage is Stage.SCALING:
        add_piece(session, engine, order, "sweep")
    return order


def ask_cancel(session: Session, order_id: str, by: str, reason: str = "") -> Order:
    """Write down who wants the order stopped, before anything is stopped. The first one to ask stays written.

    Raises `OrderRefused` (TOO_LATE) where nothing is left to stop.
    """
    order = locked_order(session, order_id)
    if Stage(order.stage) not in OPEN | {Stage.FAILED}:
        raise OrderRefused(OrderFault.TOO_LATE)
    if order.cancel_by is None:
        order.cancel_by, order.cancel_reason = by, reason[:200]
    return order


def cancel(session: Session, engine: Enqueues, order_id: str) -> list[str]:
    """Stop an order wherever it is; gives back the turns that run now, for `Engine.cancel` after the commit.

    An order that has ended already is let be.
    """
    order = locked_order(session, order_id)
    if not TABLE[Stage(order.stage)].next:
        return []
    move(session, engine, order_id, Stage.CANCELLED)
    order.expires_at, order.interaction_token = now(), ""
    return end_pieces(session, order_id, "cancelled")


def fail(
    session: Session, engine: Enqueues, order_id: str, fault: Fault, reason: str, *, can_retry: bool = True
) -> Order:
    """The order cannot go on; its pictures are kept a while, for Retry (`expire_failed`). An order that is not open is let be.

    Where a retry would end the same way, say so: then nothing is kept for it.
    """
    order = locked_order(session, order_id)
    if Stage.FAILED not in TABLE[Stage(order.stage)].next:
        return order
    move(session, engine, order_id, Stage.FAILED)
    order.fault, order.fault_reason = Fault(fault).value, reason[:500]
    order.finished_at, order.expires_at = now(), None if can_retry else now()
    end_pieces(session, order_id, "failed")
    return order


def can_retry(order: Order) -> bool:
    """Whether Retry makes sense for this order: it has failed, and trying again could end differently."""
    return order.stage == Stage.FAILED.value and (order.expires_at is None or order.expires_at > now())


def expire_failed(session: Session, at: datetime, retry_days: float) -> list[str]:
    """End the failed orders that nobody tried again in time; gives back their ids. Their files go by `storage.retention`."""
    over = col(Order.finished_at) <= at - timedelta(days=retry_days)
    failed = session.exec(select(Order).where(Order.stage == Stage.FAILED.value, over).with_for_update()).all()
    for order in failed:
        check_move(Stage.FAILED, Stage.EXPIRED)
        order.stage, order.finished_at = Stage.EXPIRED.value, at
        order.attempt += 1
    return [order.id for order in failed]


def retry(session: Session, engine: Enqueues, order_id: str, *, most: int = 1) -> Order:
    """From failed back to the queue, on the kept pictures and under the same plan; training goes on where it was stored.

    Raises `OrderRefused` as `start` does.
    """
    order = locked_order(session, order_id)
    if not can_retry(order):
        raise OrderRefused(OrderFault.TOO_LATE)
    if (count := len(kept(session, order_id))) < MIN_PICTURES:
        raise OrderRefused(OrderFault.TOO_FEW_PICTURES, f"{count} of at least {MIN_PICTURES}")
    _refuse_more(session, order, most)
    order.fault, order.fault_reason, order.finished_at, order.expires_at = None, "", None, None
    move(session, engine, order_id, Stage.QUEUED)
    done = session.exec(select(func.max(Piece.step)).where(Piece.order_id == order_id, Piece.kind == "train")).one()
    add_piece(session, engine, order, "train", step=done or 0)
    return order


def open_orders(session: Session, *stages: Stage) -> Sequence[Order]:
    """The orders in these stages, oldest first; without stages all that still move."""
    wanted = [s.value for s in (stages or OPEN)]
    return session.exec(select(Order).where(col(Order.stage).in_(wanted)).order_by(col(Order.created_at))).all()


def checkpoints_of(session: Session, order_id: str) -> Sequence[Checkpoint]:
    """The stored checkpoints, first to last."""
    return session.exec(select(Checkpoint).where(Checkpoint.order_id == order_id).order_by(col(Checkpoint.step))).all()


def departures_of(session: Session, order_id: str) -> tuple[Departure, ...]:
    """Where the run left its plan, in the order it happened."""
    rows = session.exec(
        select(DepartureRow)
        .where(DepartureRow.order_id == order_id)
        .order_by(col(DepartureRow.step), col(DepartureRow.id))
    ).all()
    return tuple(Departure(step=r.step, kind=r.kind, reason=r.reason) for r in rows)  # type: ignore[arg-type]  # written from the same type


def candidates(session: Session, order_id: str) -> list[Candidate]:
    """The stored checkpoints with votes and measurements, as `choice.choose_checkpoint` takes them."""
    return [
        Candidate(
            step=c.step,
            votes=c.votes,
            measurement=Measurement.from_json(c.measurement_json) if c.measurement_json else None,
        )
        for c in checkpoints_of(session, order_id)
    ]
