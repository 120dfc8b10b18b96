"""Watches a training for warning signs, as its log and its checkpoints come in; called inside the caller's transaction."""

from __future__ import annotations

from sqlmodel import Session, col, select

from storage import orders
from storage.domain.measurement import Measurement
from storage.domain.signs import Sign, signs
from storage.tables import Checkpoint, LogEntry, SignRow


def watch(session: Session, order_id: str) -> None:
    """Keeps every sign that is seen now and was not seen before; a run that is done again sees the same and adds nothing."""
    log = session.exec(select(LogEntry).where(LogEntry.order_id == order_id).order_by(col(LogEntry.step)))
    checkpoints = session.exec(
        select(Checkpoint).where(Checkpoint.order_id == order_id).order_by(col(Checkpoint.step))
    ).all()
    measured = [(c.step, Measurement.from_json(c.measurement_json)) for c in checkpoints if c.measurement_json]
    for sign in signs(orders.plan_of(session, order_id), [row.entry() for row in log], measured):
        if session.get(SignRow, (order_id, sign.kind.value)) is None:
            session.add(SignRow(order_id=order_id, kind=sign.kind.value, step=sign.step, value=sign.value))


def signs_of(session: Session, order_id: str) -> tuple[Sign, ...]:
    """Those that were seen, in the order of their steps."""
    rows = session.exec(select(SignRow).where(SignRow.order_id == order_id).order_by(col(SignRow.step)))
    return tuple(row.sign() for row in rows)
