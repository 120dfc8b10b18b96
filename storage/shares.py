"""Which delivered orders are, or are to be, on the operator's model hub. Rows only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlmodel import Session, col, or_, select

from storage.domain.orders import file_stem
from storage.tables import Order, Share, now

MOST_TRIES = 6
FIRST_PAUSE_S = 30.0
"""Doubled with every try: the last one is a quarter of an hour after the first."""
AT_ONCE = 4
"""Rows that are looked at together."""


def wanted(session: Session, order: Order, namespace: str) -> None:
    """This order is to be shared; inside the transaction that ends its delivery. Nothing where the operator shares nothing."""
    if namespace and session.get(Share, order.id) is None:
        name = file_stem(order.name, order.id)
        session.add(Share(order_id=order.id, repository=f"{namespace}/{name}"))


def due(session: Session, at: datetime) -> Sequence[Share]:
    """What can be done now: put there, told of, or taken back."""
    removed = col(Order.removed_at).is_not(None)
    open_ = ~removed & or_(col(Share.url) == "", ~col(Share.told))
    to_take_back = removed & (col(Share.url) != "")
    look = select(Share).join(Order).where(~col(Share.gone), col(Share.tries) < MOST_TRIES, col(Share.next_at) <= at)
    return session.exec(look.where(or_(open_, to_take_back)).order_by(col(Share.next_at)).limit(AT_ONCE)).all()


def is_removed(session: Session, order_id: str) -> bool:
    """Whether a moderator removed the order meanwhile."""
    return session.get_one(Order, order_id).removed_at is not None


def shared(session: Session, order_id: str, url: str) -> None:
    """It is on the hub."""
    row = session.get_one(Share, order_id)
    row.url, row.tries, row.reason, row.next_at = url, 0, "", now()


def failed(session: Session, order_id: str, reason: str) -> None:
    """A try failed; the next one is later every time."""
    row = session.get_one(Share, order_id)
    row.next_at = now() + timedelta(seconds=FIRST_PAUSE_S * 2.0**row.tries)
    row.tries, row.reason = row.tries + 1, reason[:300]


def told(session: Session, order_id: str) -> None:
    """The card shows the link."""
    session.get_one(Share, order_id).told = True


def later(session: Session, order_id: str) -> None:
    """There is no card yet to show it."""
    session.get_one(Share, order_id).next_at = now() + timedelta(seconds=FIRST_PAUSE_S)


def gone(session: Session, order_id: str) -> None:
    """It was taken from the hub again."""
    row = session.get_one(Share, order_id)
    row.gone, row.url = True, ""
