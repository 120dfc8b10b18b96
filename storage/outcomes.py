"""What closed ballots taught: kept, learned from, frozen, reset. Every function works inside the caller's transaction.

Learned values are derived: the same outcomes give the same values, so they can be fitted again at any time, by any process.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlmodel import Session, col, select

from storage import orders
from storage.domain.ballots import ClosedBallot, voted
from storage.domain.choice import Choice
from storage.domain.learned import Learned, learned_from
from storage.domain.lesson import Lesson
from storage.domain.measurement import Measurement
from storage.domain.orders import SubjectType
from storage.switches import locked
from storage.tables import Order, Outcome, Revision, Switch, now

LEARNING = "learning"
"""The switch: `frozen`, or empty where every ballot is learned from. Its row is held while a revision is made."""
FROZEN = "frozen"
LATEST = 500
"""So many outcomes are learned from, the newest ones: what communities like changes, and a ballot must close quickly."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is used now."""

    number: int = 0
    """Of the revision; 0 before the first one."""
    values: Learned = field(default_factory=Learned)

    def lesson(self, base: str, subject_type: str) -> Lesson | None:
        """For an order; None where nothing was learned for its kind."""
        return self.values.lesson(self.number, base, SubjectType(subject_type))


def keep(session: Session, order: Order, choice: Choice) -> Outcome:
    """Write down what a ballot that closes now says; once an order, however often it is called."""
    checkpoints, plan = orders.checkpoints_of(session, order.id), orders.plan_of(session, order.id)
    last = max((c.step for c in checkpoints), default=0)
    return session.merge(
        Outcome(
            order_id=order.id,
            base=order.base,
            subject_type=order.subject_type,
            pictures=len(orders.kept(session, order.id)),
            recipe=plan.recipe,
            steps=plan.steps,
            learning_rate=plan.learning_rate,
            batch_size=plan.batch_size,
            concepts=len(plan.concepts),
            chosen_step=choice.step,
            chosen_because=choice.because.value,
            measured_best=choice.measured_best,
            next_step=min((step for step in plan.checkpoint_steps if step > last), default=None),
            votes_json=json.dumps({c.step: c.votes for c in checkpoints}),
            measurements_json=json.dumps({c.step: json.loads(c.measurement_json or "null") for c in checkpoints}),
        )
    )


def known(session: Session) -> Known:
    """What is used now, whether it is frozen or not."""
    last = _last(session)
    return Known() if last is None else Known(number=last.number, values=Learned.from_json(last.values_json))


def refit(session: Session, because: str = "ballot") -> Revision | None:
    """Learn from the outcomes; a new revision where that changes something, else None. Frozen, nothing is learned.

    The switch is held, so of several processes one after the other looks, and the later ones find nothing new.
    """
    if locked(session, LEARNING, "").value == FROZEN:
        return None
    last = _last(session)
    ballots = closed_ballots(session, None if last is None else last.since)
    values = learned_from(ballots).to_json()
    if values == (Learned().to_json() if last is None else last.values_json):
        return None
    return _revise(session, last, because, len(ballots), values)


def freeze(session: Session) -> None:
    """What was learned stays as it is. Outcomes are still kept."""
    locked(session, LEARNING, "").value = FROZEN


def thaw(session: Session) -> Revision | None:
    """Learn again, at once from what was kept meanwhile."""
    locked(session, LEARNING, "").value = ""
    session.flush()
    return refit(session, "again")


def reset(session: Session) -> Revision:
    """Forget what was learned; outcomes are kept, and those from now on count. Frozen stays frozen."""
    locked(session, LEARNING, "")
    return _revise(session, _last(session), "reset", 0, Learned().to_json(), since=now())


def is_frozen(session: Session) -> bool:
    """Whether nothing is learned at present."""
    row = session.get(Switch, LEARNING)
    return row is not None and row.value == FROZEN


def revisions(session: Session) -> Sequence[Revision]:
    """The history, first to last."""
    return session.exec(select(Revision).order_by(col(Revision.number))).all()


def closed_ballots(session: Session, since: datetime | None) -> list[ClosedBallot]:
    """The newest outcomes that count, oldest first."""
    asked = select(Outcome).order_by(col(Outcome.closed_at).desc(), col(Outcome.order_id).desc()).limit(LATEST)
    rows = session.exec(asked if since is None else asked.where(col(Outcome.closed_at) > since)).all()
    return [closed_ballot(row) for row in reversed(rows)]


def closed_ballot(row: Outcome) -> ClosedBallot:
    """An outcome as learning takes it."""
    votes, measured = json.loads(row.votes_json), json.loads(row.measurements_json)
    measurements = {step: Measurement.from_json(json.dumps(m)) if m else None for step, m in measured.items()}
    found = (voted(int(step), count, measurements.get(step)) for step, count in votes.items())
    return ClosedBallot(
        base=row.base,
        subject_type=SubjectType(row.subject_type),
        recipe=row.recipe,
        pictures=row.pictures,
        concepts=row.concepts,
        learning_rate=row.learning_rate,
        next_step=row.next_step,
        checkpoints=tuple(sorted((each for each in found if each is not None), key=lambda each: each.step)),
    )


def _last(session: Session) -> Revision | None:
    return session.exec(select(Revision).order_by(col(Revision.number).desc()).limit(1)).first()


def _revise(
    session: Session, last: Revision | None, because: str, outcomes: int, values: str, *, since: datetime | None = None
) -> Revision:
    row = Revision(
        number=1 if last is None else last.number + 1,
        because=because,
        outcomes=outcomes,
        since=since or (last.since if last else None),
        values_json=values,
    )
    session.add(row)
    session.flush()
    return row
