"""What a turn writes down. Every function works inside the caller's transaction and first asks whether the turn still counts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlmodel import Session, col, select

from storage import checkups, orders, pieces, stopping, turns
from storage.domain import doctor
from storage.domain.captions import clean
from storage.domain.errors import Fault, LorasmithError
from storage.domain.lifecycle import Stage
from storage.domain.plan import Fit
from storage.domain.training_log import is_kept
from storage.pieces import Enqueues
from storage.tables import Attempt, Checkpoint, Delivery, DepartureRow, LogEntry, Order, Progress
from storage.turns import Outcome, Taken
from storage.watching import watch
from trainer.events import Checkpointed, Departed, Examined, Finished, Logged


class Stopped(LorasmithError):
    """This turn does not count any more: the order was cancelled, or another worker took over."""


class Fenced(Stopped):
    """Nobody could be told for a whole lease that this worker lives; others may take its turn."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """Where a checkpoint's files are in the artifacts."""

    lora: str
    grid: str
    previews: list[dict[str, object]]


def _hold(session: Session, taken: Taken) -> Order:
    order = session.get(Order, taken.order_id)
    if order is None or order.cancel_by is not None or not turns.holds(session, taken):
        raise Stopped
    return order


def note(session: Session, taken: Taken, progress: Progress | None, logged: Sequence[Logged] = ()) -> None:
    """The newest words from the GPU, if there are any; called every second also to notice a cancel. Raises `Stopped`."""
    _hold(session, taken)
    if progress is not None:
        session.merge(progress)
    if logged:
        steps = orders.plan_of(session, taken.order_id).steps
        for entry in logged:
            if is_kept(entry.step, steps):
                session.merge(LogEntry(order_id=taken.order_id, **entry.model_dump(exclude={"event"})))
        watch(session, taken.order_id)


def began(session: Session, taken: Taken, fit: Fit, versions: dict[str, str]) -> None:
    """What this turn runs under. Raises `Stopped`."""
    _hold(session, taken)
    attempt = session.get_one(Attempt, f"{taken.piece_id}:{taken.turn}")
    attempt.fit_json, attempt.versions_json = fit.to_json(), json.dumps(versions, sort_keys=True)


def fit_before(session: Session, order_id: str) -> Fit | None:
    """The fit that this order ran under last."""
    wanted = (
        select(Attempt.fit_json)
        .where(Attempt.order_id == order_id, Attempt.fit_json != "{}")
        .order_by(col(Attempt.started_at).desc())
    )
    text = session.exec(wanted).first()
    return Fit.from_json(text) if text else None


def departed(session: Session, taken: Taken, event: Departed) -> None:
    """The run left its plan; a resumed run says it again, and it is kept once. Raises `Stopped`."""
    _hold(session, taken)
    this_one: dict[str, Any] = {
        "order_id": taken.order_id,
        "step": event.step,
        "kind": event.kind,
        "ordinal": event.ordinal,
    }
    if session.exec(select(DepartureRow).filter_by(**this_one)).first() is None:
        session.add(DepartureRow(**this_one, reason=event.reason))


def examined(  # passed through transact
    session: Session, engine: Enqueues, taken: Taken, *, gpu_s: float, event: Examined, wait_s: float
) -> bool:
    """All pictures were looked at. Where the owner is waited for the turn goes back; says whether. Raises `Stopped`."""
    pieces.virtual_time(session)
    order = _hold(session, taken)
    seen = checkups.Seen(
        pictures={id_: doctor.from_json(text) for id_, text in event.pictures.items()},
        whole=doctor.from_json(event.whole),
        captions={id_: clean(text) for id_, text in event.captions.items()},
        trigger_like=event.trigger_like,
        trigger_pieces=event.trigger_pieces,
        faces=event.faces,
    )
    waits = checkups.note(session, order.id, seen, wait_s=wait_s if order.community_id.isdigit() else 0.0)
    if waits:
        turns.give_back(session, engine, taken, gpu_s=gpu_s, step=0, outcome="more")
    return waits


def stored_checkpoint(session: Session, order_id: str, step: int) -> Checkpoint | None:
    """The row of a checkpoint."""
    return session.get(Checkpoint, (order_id, step))


def checkpointed(session: Session, taken: Taken, event: Checkpointed, files: Stored) -> None:
    """The checkpoint's row, after its files. Raises `Stopped`.

    A row that is there already stays: its grid may be posted and voted on.
    """
    _hold(session, taken)
    if stored_checkpoint(session, taken.order_id, event.step) is None:
        session.add(
            Checkpoint(
                order_id=taken.order_id,
                step=event.step,
                lora_artifact=files.lora,
                lora_sha256=event.lora_sha256,
                lora_bytes=event.lora_bytes,
                grid_artifact=files.grid,
                previews_json=json.dumps(files.previews, sort_keys=True),
                measurement_json=event.measurement,
            )
        )
        watch(session, taken.order_id)


def trained(session: Session, engine: Enqueues, taken: Taken, *, gpu_s: float, step: int) -> bool | None:
    """The segment is safe: the turn goes back, and after the last one the vote begins; says whether it was the last.

    A training may end before its plan does: `storage.stopping`. None where it is over without one checkpoint to vote on.
    Raises `Stopped`.
    """
    pieces.virtual_time(session)
    _hold(session, taken)
    over = stopping.is_over(session, taken.order_id, step)
    if over and not orders.checkpoints_of(session, taken.order_id):
        return None
    turns.give_back(session, engine, taken, gpu_s=gpu_s, step=step, outcome="done" if over else "more")
    if over:
        orders.move(session, engine, taken.order_id, Stage.VOTING)
    return over


def finished(
    session: Session, engine: Enqueues, taken: Taken, *, gpu_s: float, event: Finished, files: dict[str, str]
) -> None:
    """The scale is measured and the files are stored: the order goes to the bot for delivery. Raises `Stopped`."""
    pieces.virtual_time(session)
    order = _hold(session, taken)
    order.scale_json = event.scale
    step = order.chosen_step or 0
    session.merge(
        Delivery(
            id=f"{order.id}:final:{step}",
            order_id=order.id,
            kind="final",
            step=step,
            files_json=json.dumps(files, sort_keys=True),
            way=order.delivery_way,
        )
    )
    turns.give_back(session, engine, taken, gpu_s=gpu_s, step=taken.step, outcome="done")
    orders.move(session, engine, order.id, Stage.DELIVERING)


def ended(session: Session, engine: Enqueues, taken: Taken, *, gpu_s: float, outcome: Outcome) -> bool:
    """The turn ends without its result; False where it did not count any more."""
    return turns.give_back(session, engine, taken, gpu_s=gpu_s, step=taken.step, outcome=outcome)


def failed(
    session: Session, engine: Enqueues, taken: Taken, *, gpu_s: float, fault: Fault, reason: str, retry: bool
) -> bool:
    """The turn failed. Another one is tried where that may help, at most three in a row; then the order fails, saying why."""
    pieces.virtual_time(session)
    if not retry and turns.holds(session, taken):
        orders.fail(session, engine, taken.order_id, fault, reason)
    counted = turns.give_back(session, engine, taken, gpu_s=gpu_s, step=taken.step, outcome="failed")
    order = session.get_one(Order, taken.order_id)
    if counted and retry and order.stage == Stage.FAILED.value:
        order.fault, order.fault_reason = fault.value, reason[:500]
    return counted


def silent(session: Session, taken: Taken) -> None:
    """Nothing was heard for long: the row says so and keeps the instant of the last word. Raises `Stopped`."""
    _hold(session, taken)
    progress = session.get(Progress, taken.order_id)
    if progress is not None:
        progress.stage = "stalled"
