"""Pieces of GPU work and the fair queue's books: who waits, what was charged, what a turn is expected to take."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import sqlalchemy as sa
from sqlmodel import Session, col, func, or_, select

from storage.domain import fairness
from storage.domain.pace import turn_s
from storage.domain.plan import Plan
from storage.switches import VIRTUAL_TIME, locked
from storage.tables import Attempt, Community, Member, Order, Piece, PlanRow, Switch, now

REMEMBERED_TURNS = 20
"""Estimates lean on so many measured turns of the same base and kind."""
LIVE = ("waiting", "running")


class Enqueues(Protocol):
    """What orders and turns need of the engine."""

    def enqueue_stage(self, session: Session, order_id: str, stage: str, attempt: int) -> str:
        """Enqueue a stage workflow in this transaction."""

    def enqueue_turn(self, session: Session, key: str) -> str:
        """Enqueue a turn in this transaction."""

    def turns_waiting(self) -> int:
        """How many turns are enqueued and not taken."""


def add_piece(session: Session, engine: Enqueues, order: Order, kind: str, *, step: int = 0) -> Piece:
    """A new piece of work for an order, waiting, with its first turn enqueued in the same transaction."""
    before = session.scalar(
        select(func.count()).select_from(Piece).where(Piece.order_id == order.id, Piece.kind == kind)
    )
    _wake(session, order.community_id, order.owner_id)
    piece = Piece(
        id=f"{order.id}:{kind}:{(before or 0) + 1}",
        order_id=order.id,
        kind=kind,
        community_id=order.community_id,
        member_id=order.owner_id,
        base=order.base,
        estimate_s=estimate_s(session, plan_of(session, order.id), kind),
        step=step,
    )
    session.add(piece)
    session.flush()
    engine.enqueue_turn(session, f"{piece.id}:1")
    return piece


def live_pieces(session: Session, order_id: str) -> Sequence[Piece]:
    """The waiting and running pieces of an order, held until the transaction ends."""
    return session.exec(
        select(Piece).where(Piece.order_id == order_id, col(Piece.state).in_(LIVE)).with_for_update()
    ).all()


def end_pieces(session: Session, order_id: str, state: str) -> list[str]:
    """End all live pieces of an order as `cancelled` or `failed`; gives back the keys of turns that run now.

    A running piece keeps its executor and turn, so that its worker can still correct the charge.
    """
    pieces = live_pieces(session, order_id)
    running = [p.turn_key for p in pieces if p.state == "running" and p.turn_key]
    for piece in pieces:
        piece.state = state
    return running


def plan_of(session: Session, order_id: str) -> Plan:
    """The frozen plan. Raises `sqlalchemy.exc.NoResultFound` for a draft."""
    return Plan.from_json(session.exec(select(PlanRow.plan_json).where(PlanRow.order_id == order_id)).one())


def estimate_s(session: Session, plan: Plan, kind: str) -> float:
    """Seconds that a turn of this plan takes.

    What the plan alone lets expect (`storage.domain.pace`), times how much longer or shorter the newest measured turns of
    the same base and kind took than their own plans let expect. Plans of one size: simply the mean of the measured.
    """
    rows = session.exec(
        select(Attempt.gpu_s, PlanRow.plan_json)
        .join(Piece, col(Piece.id) == col(Attempt.piece_id))
        .join(PlanRow, col(PlanRow.order_id) == col(Piece.order_id))
        .where(Piece.base == plan.base, Piece.kind == kind)
        .where(col(Attempt.outcome).in_(("more", "done")), Attempt.gpu_s > 0)
        .order_by(col(Attempt.ended_at).desc())
        .limit(REMEMBERED_TURNS)
    ).all()
    measured = [(gpu_s, expected) for gpu_s, text in rows if (expected := _expected_s(text, kind)) > 0]
    stretch = sum(m for m, _ in measured) / sum(e for _, e in measured) if measured else 1.0
    return turn_s(plan, kind) * stretch


@lru_cache(maxsize=4 * REMEMBERED_TURNS)
def _expected_s(plan_json: str, kind: str) -> float:
    """What was expected of a turn of an old plan; 0 for one that this version cannot read any more.

    Remembered: the same few plans are asked about at the end of every turn, and reading one takes 0.2 ms.
    """
    try:
        return turn_s(Plan.from_json(plan_json), kind)
    except (TypeError, ValueError, KeyError):
        return 0.0


def waiting(session: Session) -> list[fairness.Waiting]:
    """Everything that waits for the GPU, as the fair queue sees it."""
    # Columns by name, because whole objects of three tables cost several times as much, at every turn that is given.
    rows = session.execute(
        sa.select(
            col(Piece.id), col(Piece.community_id), col(Piece.member_id), col(Community.tag), col(Member.tag),
            col(Community.weight), col(Piece.since), col(Piece.estimate_s), col(Piece.base),
        )
        .join(Community, col(Community.id) == col(Piece.community_id))
        .join(Member, (col(Member.community_id) == col(Piece.community_id)) & (col(Member.id) == col(Piece.member_id)))
        .where(col(Piece.state) == "waiting", or_(col(Piece.hold_until).is_(None), col(Piece.hold_until) <= now()))
        .order_by(col(Piece.id))
    ).all()  # fmt: skip
    return [
        fairness.Waiting(
            piece_id=piece_id,
            community_id=community_id,
            member_id=member_id,
            community_tag=community_tag,
            member_tag=member_tag,
            weight=weight,
            since=since.timestamp(),
            estimate_s=estimate,
            base=base,
        )
        for piece_id, community_id, member_id, community_tag, member_tag, weight, since, estimate, base in rows
    ]


def charge(session: Session, piece: Piece) -> None:
    """Charge the piece's estimate in advance, and move virtual time to where its flow was served."""
    community, member = _flows(session, piece.community_id, piece.member_id)
    _advance(session, VIRTUAL_TIME, community.tag)
    _advance(session, _inside(community.id), member.tag)
    piece.charged_s = piece.estimate_s
    _add(community, member, piece.estimate_s)


def correct(session: Session, piece: Piece, gpu_s: float) -> None:
    """Replace the charge in advance by the measured seconds."""
    community, member = _flows(session, piece.community_id, piece.member_id)
    _add(community, member, gpu_s - piece.charged_s)
    piece.charged_s = 0.0


def virtual_time(session: Session) -> Switch:
    """The fair queue's clock, held until the transaction ends: whoever gives or corrects turns takes it first."""
    return locked(session, VIRTUAL_TIME, "0.0")


def _wake(session: Session, community_id: str, member_id: str) -> None:
    """A flow that begins to wait starts at the virtual time of now, so that idle time is not saved up."""
    clock = float(virtual_time(session).value)
    inside = float(locked(session, _inside(community_id), "0.0").value)
    community, member = _flows(session, community_id, member_id)
    live = select(func.count()).select_from(Piece).where(Piece.community_id == community_id, col(Piece.state).in_(LIVE))
    if not session.scalar(live):
        community.tag = fairness.start_tag(community.tag, clock)
    if not session.scalar(live.where(Piece.member_id == member_id)):
        member.tag = fairness.start_tag(member.tag, inside)


def wait_again(session: Session, piece: Piece) -> None:
    """A piece begins to wait after a turn; the caller has flushed that it does.

    A community that had nothing else waiting could not have been given more than it was: with several workers the clock runs
    past it meanwhile. It keeps one turn of that as credit, because charges in advance move the clock too; more would be idle
    time saved up, and its next orders would shut all others out until it is used. The same holds for a member inside.
    """
    clock = float(virtual_time(session).value)
    inside = float(locked(session, _inside(piece.community_id), "0.0").value)
    community, member = _flows(session, piece.community_id, piece.member_id)
    others = (
        select(func.count())
        .select_from(Piece)
        .where(Piece.community_id == community.id, Piece.state == "waiting", Piece.id != piece.id)
    )
    if not session.scalar(others):
        community.tag = fairness.start_tag(community.tag, clock - piece.estimate_s / community.weight)
    if not session.scalar(others.where(Piece.member_id == member.id)):
        member.tag = fairness.start_tag(member.tag, inside - piece.estimate_s)


def _flows(session: Session, community_id: str, member_id: str) -> tuple[Community, Member]:
    community = session.exec(select(Community).where(Community.id == community_id).with_for_update()).one()
    member = session.exec(
        select(Member).where(Member.community_id == community_id, Member.id == member_id).with_for_update()
    ).one()
    return community, member


def _add(community: Community, member: Member, gpu_s: float) -> None:
    community.tag = fairness.charged(community.tag, gpu_s=gpu_s, weight=community.weight)
    member.tag = fairness.charged(member.tag, gpu_s=gpu_s, weight=1.0)


def _advance(session: Session, clock: str, tag: float) -> None:
    switch = locked(session, clock, "0.0")
    switch.value = repr(max(float(switch.value), tag))


def _inside(community_id: str) -> str:
    return f"{VIRTUAL_TIME}:{community_id}"
