"""The whole life of an order as one table: stage, who moves it on, where it may go, what its people see.

Everything else asks this table; nothing else knows which stage follows which.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from storage.domain.errors import IllegalMove
from storage.domain.phrases import phrase


class Stage(StrEnum):
    """Where an order is. The value is what the row holds."""

    DRAFT = "draft"
    QUEUED = "queued"
    TRAINING = "training"
    VOTING = "voting"
    SCALING = "scaling"
    DELIVERING = "delivering"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"
    FAILED = "failed"
    EXPIRED = "expired"


class Mover(StrEnum):
    """Who brings an order out of a stage."""

    OWNER = "owner"
    WORKER = "worker"
    BOT = "bot"
    NOBODY = "nobody"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table."""

    stage: Stage
    mover: Mover
    next: frozenset[Stage]
    """The stages this one may move to."""
    sight: str
    """What an onlooker sees while the order is here, in the fewest words; `storage.words.stage_words` says it."""


def _row(stage: Stage, mover: Mover, *next_: Stage, sight: str) -> Row:
    return Row(stage=stage, mover=mover, next=frozenset(next_), sight=sight)


S = Stage
TABLE: dict[Stage, Row] = {
    row.stage: row
    for row in (
        _row(S.DRAFT, Mover.OWNER, S.QUEUED, S.CANCELLED, S.EXPIRED, sight=phrase("draft, waiting for Start")),
        _row(S.QUEUED, Mover.WORKER, S.TRAINING, S.CANCELLED, S.FAILED, sight=phrase("waiting for the GPU")),
        _row(S.TRAINING, Mover.WORKER, S.VOTING, S.CANCELLED, S.FAILED, sight=phrase("training")),
        _row(S.VOTING, Mover.BOT, S.SCALING, S.CANCELLED, S.FAILED, sight=phrase("voting")),
        _row(S.SCALING, Mover.WORKER, S.DELIVERING, S.CANCELLED, S.FAILED, sight=phrase("measuring the scale")),
        _row(S.DELIVERING, Mover.BOT, S.DELIVERED, S.CANCELLED, S.FAILED, sight=phrase("handing over")),
        _row(S.DELIVERED, Mover.NOBODY, sight=phrase("delivered")),
        _row(S.CANCELLED, Mover.NOBODY, sight=phrase("cancelled")),
        _row(S.FAILED, Mover.OWNER, S.QUEUED, S.CANCELLED, S.EXPIRED, sight=phrase("failed")),
        _row(S.EXPIRED, Mover.NOBODY, sight=phrase("expired")),
    )
}
del S

OPEN: frozenset[Stage] = frozenset(s for s, row in TABLE.items() if row.next and s is not Stage.FAILED)
"""Stages from which an order still moves by itself or by its owner's Start."""

BUSY: frozenset[Stage] = frozenset({Stage.QUEUED, Stage.TRAINING})
"""Stages that count against "one order queued or training per member and community"; ballots do not count."""


def check_move(now: Stage, then: Stage) -> None:
    """Raise `IllegalMove` unless the table has an arrow from `now` to `then`."""
    if then not in TABLE[now].next:
        raise IllegalMove(f"an order that is {now.value} cannot become {then.value}")
