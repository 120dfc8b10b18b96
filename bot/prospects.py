"""When an order's turn comes and how long it takes: the fair queue's own order, with the seconds that turns were measured at."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import Session, col, select

from bot.wording_plan import Prospect
from storage import leases, pieces
from storage.domain import fairness
from storage.domain.fairness import Waiting
from storage.domain.lifecycle import Stage
from storage.domain.plan import Plan
from storage.orders import open_orders
from storage.switches import VIRTUAL_TIME, is_paused
from storage.tables import Attempt, Community, Member, Order, Piece, PlanRow, Progress, Switch, now

MOST_SHOWN = 25
"""Waiting pieces of which `/queue` tells."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """The queue as it stands."""

    running: Sequence[tuple[Order, Progress | None]]
    waiting: Sequence[tuple[Order, Prospect]]
    """In the order of their first turns; sweeps of voted orders included."""
    paused: bool


def prospect_of(session: Session, order: Order, plan: Plan) -> Prospect:
    """When this order would come, or will come once queued, if nothing else is started."""
    waiting = pieces.waiting(session)
    mine = next((w for w in waiting if w.piece_id.startswith(f"{order.id}:")), None) or _newcomer(session, order, plan)
    others = [w for w in waiting if w.piece_id != mine.piece_id]
    return _prospect(session, mine, [*others, mine], len(plan.checkpoint_steps))


def line_of(session: Session) -> Line:
    """What `/queue` shows: who trains, and who is next by the same function that gives the turns."""
    waiting = pieces.waiting(session)
    ordered = fairness.line(waiting)
    training = open_orders(session, Stage.TRAINING)
    return Line(
        running=[(o, session.get(Progress, o.id)) for o in training if _runs(session, o)],
        waiting=[
            (session.get_one(Order, w.piece_id.partition(":")[0]), _prospect(session, w, ordered, _turns(session, w)))
            for w in ordered[:MOST_SHOWN]
        ],
        paused=is_paused(session),
    )


def _runs(session: Session, order: Order) -> bool:
    return any(p.state == "running" for p in pieces.live_pieces(session, order.id))


def _prospect(session: Session, mine: Waiting, waiting: Sequence[Waiting], turns: int) -> Prospect:
    workers = _workers(session, mine.base)
    place = [w.piece_id for w in fairness.line(waiting)].index(mine.piece_id)
    ahead = sum(w.estimate_s for w in fairness.line(waiting)[:place]) + _left_of_running(session)
    return Prospect(
        place=place + 1,
        wait_s=ahead / max(1, workers),
        work_s=mine.estimate_s * turns,
        measured=_measured(session, mine.base),
        paused=is_paused(session),
        workers=workers,
    )


def _newcomer(session: Session, order: Order, plan: Plan) -> Waiting:
    """The piece that a Start now would add: a flow begins at the virtual time of now."""
    community = session.get(Community, order.community_id) or Community(id=order.community_id)
    member = session.get(Member, (order.community_id, order.owner_id))
    clock = session.get(Switch, VIRTUAL_TIME)
    inside = session.get(Switch, f"{VIRTUAL_TIME}:{order.community_id}")
    return Waiting(
        piece_id=f"{order.id}:train:1",
        community_id=order.community_id,
        member_id=order.owner_id,
        community_tag=fairness.start_tag(community.tag, float(clock.value) if clock else 0.0),
        member_tag=fairness.start_tag(member.tag if member else 0.0, float(inside.value) if inside else 0.0),
        weight=community.weight,
        since=now().timestamp(),
        estimate_s=pieces.estimate_s(session, plan, "train"),
        base=order.base,
    )


def _left_of_running(session: Session) -> float:
    """Seconds until the turns that run now end, by their estimates."""
    at = now()
    running = session.exec(select(Piece).where(Piece.state == "running")).all()
    spent = [(p.estimate_s, (at - p.taken_at).total_seconds() if p.taken_at else 0.0) for p in running]
    return sum(max(0.0, estimate - since) for estimate, since in spent)


def _turns(session: Session, waiting: Waiting) -> int:
    """Turns that a piece still needs: one for each checkpoint to come; a sweep is one."""
    piece = session.get_one(Piece, waiting.piece_id)
    plan = session.get(PlanRow, piece.order_id)
    if piece.kind != "train" or plan is None:
        return 1
    try:
        steps: list[int] = json.loads(plan.plan_json)["checkpoint_steps"]
    except (ValueError, KeyError):  # a plan that cannot be read fails with its worker, not with everybody's queue
        return 1
    return max(1, sum(step > piece.step for step in steps))


def _measured(session: Session, base: str) -> bool:
    done = select(Attempt.id).join(Piece, col(Piece.id) == col(Attempt.piece_id))
    return session.exec(done.where(Piece.base == base, Attempt.gpu_s > 0).limit(1)).first() is not None


def _workers(session: Session, base: str) -> int:
    """Living workers that say that they have this base; one that does not say what it has counts."""
    details = [json.loads(lease.detail_json or "{}") for lease in leases.workers(session)]
    return sum(base in (d.get("bases") or [base]) for d in details)
