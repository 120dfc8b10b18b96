"""Trainings that end before their plans do: decided and told from rows, so that every process says the same.

Every function works inside the caller's transaction.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import Any

from sqlmodel import Session, col, func, select

from storage import orders
from storage.domain import stopping
from storage.domain.measurement import Measurement
from storage.domain.pace import training_s
from storage.domain.plan import Plan
from storage.tables import Attempt, Checkpoint, DepartureRow, Piece

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Stop:
    """Where a training ended early, and what that gave back."""

    step: int
    steps: int
    """Of the plan."""
    because: str
    """A `stopping.Because`, or what another version wrote there."""
    saved_s: float
    """GPU seconds that the rest would have taken: what was measured until then, times how much longer the rest of the plan is."""

    def to_plain(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)


def is_over(session: Session, order_id: str, step: int) -> bool:
    """Whether a training ends with the checkpoint at `step`, its plan's last one or not; an early end is written down.

    To be asked in the transaction that gives the turn back and moves the order on: so there is no instant at which the end is
    decided and not yet acted on. A departure that is there already alone says where the run ends, as an order that is made
    again has it.
    """
    plan, departures = orders.plan_of(session, order_id), orders.departures_of(session, order_id)
    if step >= max(stopping.marks(plan, departures), default=0):
        return True
    if not plan.early_stop or stopping.stopped_at(departures) is not None:
        return False
    measured = [known for known in _measured(session, order_id) if known[0] <= step]
    said = stopping.verdict(plan, measured)
    if said.because is None or measured[-1][0] != step:
        return False
    log.info("order %s ends early, after step %d of %d: %s", order_id, step, plan.steps, said.because.value)
    session.add(DepartureRow(order_id=order_id, step=step, kind="stopped_early", reason=said.because.value))
    session.flush()
    return True


def stop_of(session: Session, order_id: str, plan: Plan) -> Stop | None:
    """Where this order's training ended early; None where it did not, or has not come so far yet, as one that is made again."""
    row = session.exec(
        select(DepartureRow).where(DepartureRow.order_id == order_id, DepartureRow.kind == "stopped_early")
    ).first()
    if row is None or session.get(Checkpoint, (order_id, row.step)) is None:
        return None
    saved = _spent_s(session, order_id) * _rest(plan, row.step)
    return Stop(step=row.step, steps=plan.steps, because=row.reason, saved_s=round(saved, 1))


def _rest(plan: Plan, step: int) -> float:
    """How much longer the rest of the plan would be expected to take, next to what lies before this checkpoint."""
    done = training_s(plan, step)
    return (training_s(plan) - done) / done if done > 0 else 0.0


def _measured(session: Session, order_id: str) -> list[tuple[int, Measurement]]:
    rows = orders.checkpoints_of(session, order_id)
    return [(row.step, Measurement.from_json(row.measurement_json)) for row in rows if row.measurement_json]


def _spent_s(session: Session, order_id: str) -> float:
    """GPU seconds of the turns that brought its training on."""
    asked = select(func.sum(Attempt.gpu_s)).join(Piece, col(Piece.id) == col(Attempt.piece_id))
    told = asked.where(Attempt.order_id == order_id, Piece.kind == "train", col(Attempt.outcome).in_(("more", "done")))
    return float(session.scalar(told) or 0.0)
