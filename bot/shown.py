"""What storage says of the orders that Discord shows, in one look: rows only, no decisions."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, String, cast
from sqlmodel import Session, col, or_, select

from bot.languages import public_language
from storage.domain.lifecycle import Stage
from storage.domain.orders import mark
from storage.domain.plan import Plan
from storage.domain.signs import Sign
from storage.speech import ENGLISH
from storage.stopping import Stop, stop_of
from storage.tables import (
    Ballot,
    Checkpoint,
    Checkup,
    Community,
    Delivery,
    DepartureRow,
    Member,
    Order,
    Piece,
    PlanRow,
    Post,
    Progress,
    Share,
    SignRow,
    now,
)

log = logging.getLogger(__name__)

LIVE = (Stage.QUEUED, Stage.TRAINING, Stage.VOTING, Stage.SCALING, Stage.DELIVERING)
ENDED = (Stage.DELIVERED, Stage.CANCELLED, Stage.FAILED, Stage.EXPIRED)
LATE_DAYS = 3
"""An order that ended while its channel could not be posted to is still told so for so many days."""


@dataclass(frozen=True, kw_only=True)
class Face:
    """What a message last said, as its row keeps it."""

    text: str = ""
    seeded: bool = False
    """The first reactions are under it."""

    @classmethod
    def of(cls, post: Post) -> Face:
        """Of a row; a row that was never edited says nothing."""
        return cls(**json.loads(post.shown_json)) if post.shown_json else cls()

    def to_json(self) -> str:
        """As kept in the row."""
        return json.dumps(asdict(self), ensure_ascii=False)


@dataclass(kw_only=True)
class Shown:
    """One order with all that decides what its thread should show."""

    order: Order
    removed: bool
    """The bot is no longer in that server."""
    mention: bool
    """Whether the owner wants to be mentioned."""
    language: str = ENGLISH
    """Of what all in its server see."""
    plan: Plan | None = None
    posts: dict[str, Post] = field(default_factory=dict)
    """By what they are: "plan", "status", a step ..."""
    checkpoints: list[Checkpoint] = field(default_factory=list)
    progress: Progress | None = None
    ballot: Ballot | None = None
    delivery: Delivery | None = None
    checkup: Checkup | None = None
    """The look at all pictures before the first step."""
    signs: list[Sign] = field(default_factory=list)
    """Warning signs of its training, by step."""
    stopped: Stop | None = None
    """Where and why its training ended early."""
    shared: str = ""
    """Where it is on the operator's model hub."""
    running: bool = False
    """A worker has a turn on it now."""

    @property
    def stage(self) -> Stage:
        """Where the order is."""
        return Stage(self.order.stage)

    def print_of(self) -> str:
        """A text that changes when anything does that is shown."""
        order, progress, ballot = self.order, self.progress, self.ballot
        return repr(
            (
                (
                    order.stage,
                    order.attempt,
                    order.thread_id,
                    order.chosen_step,
                    order.scale_json,
                    order.max_file_bytes,
                    order.removed_at,
                ),
                [(c.step, c.votes) for c in self.checkpoints],
                sorted((what, post.message_id, post.shown_json) for what, post in self.posts.items()),
                (progress.updated_at, progress.step) if progress else None,
                (ballot.deadline_at, ballot.closed_at) if ballot else None,
                (self.delivery.way, self.delivery.delivered_at) if self.delivery else None,
                (self.checkup.answer_by, self.checkup.answer) if self.checkup else None,
                (self.removed, self.mention, self.language, self.running, len(self.signs)),
            )
        )

    @property
    def steps(self) -> tuple[int, ...]:
        """The steps of the stored checkpoints."""
        return tuple(c.step for c in self.checkpoints)


def look(session: Session, at: datetime | None = None) -> list[Shown]:
    """All orders that have, or may lack, something in their thread."""
    at = at or now()
    recent = col(Order.finished_at) > at - timedelta(days=LATE_DAYS)
    last_words = [*(col(Order.id) + f"-{what}" for what in ("card", "cancelled", "expired")), _failure_mark()]
    ended = col(Order.stage).in_([s.value for s in ENDED]) & col(Order.started_at).is_not(None) & ~_told(last_words)
    live = col(Order.stage).in_([s.value for s in LIVE])
    stays = col(Order.removed_at).is_(None)
    removed = (col(Order.removed_at) > at - timedelta(days=LATE_DAYS)) & ~_told([col(Order.id) + "-removed"])
    wanted = or_(stays & (live | (ended & recent)), removed)
    orders = session.exec(select(Order).where(wanted).order_by(col(Order.created_at))).all()
    return _filled(session, orders)


def _told(marks: Sequence[ColumnElement[str]]) -> ColumnElement[bool]:
    """Whether one of these was posted for an order."""
    return select(Post.mark).where(Post.order_id == Order.id, col(Post.mark).in_(marks)).exists()


def _failure_mark() -> ColumnElement[str]:
    """The mark of what is said of a failure: one for each time that an order fails."""
    return col(Order.id) + "-failed" + cast(col(Order.attempt), String)


def look_at(session: Session, order_id: str) -> Shown | None:
    """The same for one order."""
    order = session.get(Order, order_id)
    return _filled(session, [order])[0] if order else None


def _filled(session: Session, orders: Sequence[Order]) -> list[Shown]:
    ids = [o.id for o in orders]
    communities = {c.id: c for c in session.exec(select(Community))}
    members = {(m.community_id, m.id): m for m in session.exec(select(Member).where(_in(Member.id, _owners(orders))))}
    found = {o.id: _bare(o, communities, members) for o in orders}
    for plan in session.exec(select(PlanRow).where(_in(PlanRow.order_id, ids))):
        found[plan.order_id].plan = _plan_in(plan)
    for post in session.exec(select(Post).where(_in(Post.order_id, ids))):
        found[post.order_id].posts[post.mark.removeprefix(mark(post.order_id, ""))] = post
    chosen = select(Checkpoint).where(_in(Checkpoint.order_id, ids)).order_by(col(Checkpoint.step))
    for checkpoint in session.exec(chosen):
        found[checkpoint.order_id].checkpoints.append(checkpoint)
    for progress in session.exec(select(Progress).where(_in(Progress.order_id, ids))):
        found[progress.order_id].progress = progress
    for ballot in session.exec(select(Ballot).where(_in(Ballot.order_id, ids))):
        found[ballot.order_id].ballot = ballot
    for delivery in session.exec(select(Delivery).where(_in(Delivery.order_id, ids), Delivery.kind == "final")):
        found[delivery.order_id].delivery = delivery
    for checkup in session.exec(select(Checkup).where(_in(Checkup.order_id, ids))):
        found[checkup.order_id].checkup = checkup
    _noted(session, ids, found)
    running = select(Piece.order_id).where(_in(Piece.order_id, ids), Piece.state == "running")
    for order_id in session.exec(running):
        found[order_id].running = True
    return list(found.values())


def _noted(session: Session, ids: Sequence[str], found: Mapping[str, Shown]) -> None:
    """Warning signs, where a training ended early, and where an order is on the model hub."""
    for share in session.exec(select(Share).where(_in(Share.order_id, ids))):
        found[share.order_id].shared = share.url
    for sign in session.exec(select(SignRow).where(_in(SignRow.order_id, ids)).order_by(col(SignRow.step))):
        found[sign.order_id].signs.append(sign.sign())
    ended = select(DepartureRow.order_id).where(_in(DepartureRow.order_id, ids), DepartureRow.kind == "stopped_early")
    for it in [found[order_id] for order_id in session.exec(ended)]:
        it.stopped = stop_of(session, it.order.id, it.plan) if it.plan else None


def _plan_in(row: PlanRow) -> Plan | None:
    """None for a plan that cannot be read: its order is shown without, and all the others as ever."""
    try:
        return Plan.from_json(row.plan_json)
    except (TypeError, ValueError, KeyError) as error:
        log.debug("the plan of order %s cannot be read: %s", row.order_id, error)
        return None


def _bare(order: Order, communities: dict[str, Community], members: dict[tuple[str, str], Member]) -> Shown:
    community = communities.get(order.community_id)
    member = members.get((order.community_id, order.owner_id))
    return Shown(
        order=order,
        removed=community is not None and community.removed_at is not None,
        mention=member is None or (member.mention and member.left_at is None),
        language=public_language(community),
    )


def _in(column: Any, values: Iterable[str]) -> ColumnElement[bool]:  # noqa: ANN401  # any column of our tables
    return col(column).in_(list(values))


def _owners(orders: Sequence[Order]) -> set[str]:
    return {o.owner_id for o in orders}
