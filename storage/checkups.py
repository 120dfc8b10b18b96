"""The look at all pictures before the first step: written by the worker, answered by the owner, waited for a stated time."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from sqlmodel import Session, col, select

from storage.domain.doctor import Finding, from_json, to_json
from storage.domain.errors import OrderFault, OrderRefused, PictureFault
from storage.domain.orders import MIN_PICTURES
from storage.domain.plan import Plan
from storage.drafts import kept, locked_order
from storage.pieces import Enqueues
from storage.tables import Checkup, Picture, Piece, PlanRow, now

CAPTIONER = "captioner"
"""As `Picture.caption_from` says it."""
Box = tuple[float, float, float, float]
"""Left, top, right and bottom, in shares of a picture."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the worker found."""

    pictures: Mapping[str, Sequence[Finding]]
    whole: Sequence[Finding]
    captions: Mapping[str, str]
    """By picture id: what a captioner said of those that had no words."""
    trigger_like: str | None
    trigger_pieces: int
    faces: Mapping[str, Box] = field(default_factory=dict)
    """By picture id: the largest face."""


def checkup_of(session: Session, order_id: str) -> Checkup | None:
    """The look at this order's pictures, once there was one."""
    return session.get(Checkup, order_id)


def note(session: Session, order_id: str, seen: Seen, *, wait_s: float) -> bool:
    """Write down what was found and said; gives back whether training waits for the owner. Done twice, it is done once.

    It waits where something was found, and where a captioner wrote captions: the owner may know better.
    """
    row = session.get(Checkup, order_id)
    if row is None:
        waits = _caption(session, order_id, seen.captions) or bool(seen.pictures or seen.whole)
        row = Checkup(
            order_id=order_id,
            pictures_json=json.dumps({i: to_json(f) for i, f in seen.pictures.items()}, sort_keys=True),
            whole_json=to_json(seen.whole),
            trigger_like=seen.trigger_like,
            trigger_pieces=seen.trigger_pieces,
            faces_json=json.dumps(dict(seen.faces), sort_keys=True),
            answer_by=now() + timedelta(seconds=wait_s) if waits and wait_s > 0 else None,
        )
        session.add(row)
        if row.answer_by is not None:
            for piece in _pieces(session, order_id):
                piece.hold_until = row.answer_by
    return _is_open(row)


def _is_open(row: Checkup) -> bool:
    return row.answer_by is not None and not row.answer and row.answer_by > now()


def _caption(session: Session, order_id: str, captions: Mapping[str, str]) -> bool:
    """What was said of pictures without words; whether there is any."""
    wordless = [p for p in kept(session, order_id) if not p.caption and captions.get(p.id)]
    for picture in wordless:
        picture.caption, picture.caption_from = captions[picture.id], CAPTIONER
    return bool(wordless)


def captioned(session: Session, order_id: str) -> list[Picture]:
    """The used pictures whose captions were written by a captioner and not corrected since."""
    return [p for p in kept(session, order_id) if p.caption and p.caption_from == CAPTIONER]


def waits(session: Session, order_id: str) -> bool:
    """Whether training waits for the owner now: what was said of the pictures can still be corrected."""
    row = session.get(Checkup, order_id)
    return row is not None and _is_open(row) and bool(_held(session, order_id))


def findings(row: Checkup) -> tuple[dict[str, tuple[Finding, ...]], tuple[Finding, ...]]:
    """Of single pictures by id, and of the set."""
    return {i: from_json(text) for i, text in json.loads(row.pictures_json).items()}, from_json(row.whole_json)


def faces_of(session: Session, order_id: str) -> dict[str, Box]:
    """The largest face of every picture, by id, where one was found."""
    row = session.get(Checkup, order_id)
    return {id_: (box[0], box[1], box[2], box[3]) for id_, box in json.loads(row.faces_json).items()} if row else {}


def doubted(session: Session, order_id: str) -> list[Picture]:
    """The used pictures that the look proposes to leave out."""
    row = session.get(Checkup, order_id)
    pictures = findings(row)[0] if row else {}
    return [p for p in kept(session, order_id) if p.id in pictures]


def go_on(session: Session, engine: Enqueues, order_id: str) -> None:
    """The owner says: train as it is. Raises `OrderRefused` where training does not wait any more."""
    _waiting(session, order_id).answer = "go"
    _release(session, engine, order_id)


def go_on_without(session: Session, engine: Enqueues, order_id: str) -> list[Picture]:
    """The owner says: leave out what was proposed. The caller replaces the plan by `replan`. Raises as `go_on`."""
    row, out = _waiting(session, order_id), doubted(session, order_id)
    if len(kept(session, order_id)) - len(out) < MIN_PICTURES:
        raise OrderRefused(OrderFault.TOO_FEW_PICTURES, f"at least {MIN_PICTURES}")
    row.answer = "drop"
    for picture in out:
        picture.state, picture.fault, picture.fault_detail = "refused", PictureFault.LEFT_OUT.value, ""
    session.flush()
    _release(session, engine, order_id)
    return out


def replan(session: Session, order_id: str, plan: Plan) -> None:
    """Another plan for an order whose training has not begun: its pictures have changed."""
    session.get_one(PlanRow, order_id).plan_json = plan.to_json()


def _waiting(session: Session, order_id: str) -> Checkup:
    locked_order(session, order_id)
    row = session.get(Checkup, order_id)
    if row is None or not _is_open(row) or not _held(session, order_id):
        raise OrderRefused(OrderFault.TOO_LATE)
    return row


def _held(session: Session, order_id: str) -> list[Piece]:
    """Pieces of training that have not begun."""
    return [p for p in _pieces(session, order_id) if p.state == "waiting" and p.step == 0]


def _release(session: Session, engine: Enqueues, order_id: str) -> None:
    for piece in _pieces(session, order_id):
        piece.hold_until = None
        engine.enqueue_turn(session, f"{piece.id}:{piece.turn + 1}:answered")


def _pieces(session: Session, order_id: str) -> Sequence[Piece]:
    live = col(Piece.state).in_(("waiting", "running"))
    return session.exec(select(Piece).where(Piece.order_id == order_id, live).with_for_update()).all()
