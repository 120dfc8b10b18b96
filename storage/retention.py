"""What is deleted when: the pictures of orders that ended, and what the operator's retention no longer keeps.

Files go first, then the row says so; a crash between the two repeats the deletion, which finds nothing.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session, col, select

from storage.artifacts import Artifacts
from storage.database import Database
from storage.domain.lifecycle import Stage
from storage.drafts import locked_order
from storage.settings import StorageSettings
from storage.tables import Checkpoint, Order, Picture, now

GRACE_S = 120.0
"""An order that just ended may still have a download under way; its files go after this."""
LEAST_FREE_BYTES = 1 << 30
"""A disk with less room than this takes no new order: a checkpoint must not fail for want of space."""

ENDED = (Stage.CANCELLED, Stage.EXPIRED)


@dataclass(frozen=True, kw_only=True)
class Due:
    """What can go of one order."""

    order_id: str
    keys: tuple[str, ...]
    """Artifacts or folders of artifacts."""
    pictures: bool
    """Whether the pictures are among them."""
    tidied: str
    """What the row says afterwards."""


def due(session: Session, at: datetime, retention_days: float | None, *, grace_s: float = GRACE_S) -> list[Due]:
    """What can go now, order by order."""
    rows = session.exec(select(Order).where(col(Order.finished_at) <= at, Order.tidied != "all")).all()
    found = (_due(session, order, at, retention_days, grace_s=grace_s) for order in rows)
    return [d for d in found if d is not None]


def _due(session: Session, order: Order, at: datetime, retention_days: float | None, *, grace_s: float) -> Due | None:
    ended = order.finished_at
    if ended is None or ended + timedelta(seconds=grace_s) > at:
        return None
    home = f"orders/{order.id}"
    old = retention_days is not None and ended + timedelta(days=retention_days) <= at
    stage = Stage(order.stage)
    if stage is Stage.DELIVERED and old:
        unchosen = (f"{home}/checkpoints/{step}" for step in _unchosen(session, order))
        return Due(
            order_id=order.id, keys=(f"{home}/pictures", f"{home}/state", *unchosen), pictures=True, tidied="all"
        )
    if stage in ENDED and old:
        return Due(order_id=order.id, keys=(home,), pictures=True, tidied="all")
    if order.tidied == "some":
        return None
    if stage is Stage.DELIVERED:
        return Due(order_id=order.id, keys=(f"{home}/state",), pictures=False, tidied="some")
    if stage in ENDED or (stage is Stage.FAILED and order.expires_at is not None and order.expires_at <= at):
        return Due(order_id=order.id, keys=(f"{home}/pictures", f"{home}/state"), pictures=True, tidied="some")
    return None


def _unchosen(session: Session, order: Order) -> Sequence[int]:
    return session.exec(
        select(Checkpoint.step).where(Checkpoint.order_id == order.id, Checkpoint.step != order.chosen_step)
    ).all()


def gone(session: Session, what: Due) -> None:
    """Its files are deleted."""
    locked_order(session, what.order_id).tidied = what.tidied
    if what.pictures:
        for picture in session.exec(select(Picture).where(Picture.order_id == what.order_id)).all():
            picture.state = "gone" if picture.state == "kept" else picture.state
            picture.artifact, picture.source_url = None, ""


async def tidy(database: Database, artifacts: Artifacts, settings: StorageSettings, *, grace_s: float = GRACE_S) -> int:
    """Delete everything that is due; gives back how many orders that were. The bot calls it now and then."""
    everything = await database.transact(due, now(), settings.retention_days, grace_s=grace_s)
    for what in everything:
        for key in what.keys:
            await artifacts.delete(key)
        await database.transact(gone, what)
    await asyncio.to_thread(artifacts.sweep)
    return len(everything)


async def is_full(artifacts: Artifacts, settings: StorageSettings) -> bool:
    """Whether no new order should be taken: the ceiling is reached, or the artifacts' own disk is nearly full."""
    if artifacts.folder is not None:
        usage = await asyncio.to_thread(shutil.disk_usage, artifacts.folder)
        if usage.free < LEAST_FREE_BYTES:
            return True
    if settings.disk_ceiling_gb is None:
        return False
    return await artifacts.size("") >= settings.disk_ceiling_gb * 1e9
