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

from storage import disk
from storage.artifacts import Artifacts
from storage.database import Database
from storage.domain import space
from storage.domain.errors import OrderFault, OrderRefused
from storage.domain.keeping import Keeping
from storage.domain.lifecycle import Stage
from storage.domain.plan import Plan
from storage.drafts import locked_order
from storage.orders import candidates
from storage.settings import StorageSettings
from storage.tables import Checkpoint, Order, Picture, now

GRACE_S = 120.0
"""An order that just ended may still have a download under way; its files go after this."""
LEAST_FREE_BYTES = 1 << 30
"""A disk with less room than this takes no new order: a checkpoint must not fail for want of space."""

KEEP_ALL = Keeping(best=None, last=None)
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


def due(
    session: Session,
    at: datetime,
    retention_days: float | None,
    *,
    grace_s: float = GRACE_S,
    keeping: Keeping = KEEP_ALL,
) -> list[Due]:
    """What can go now, order by order."""
    rows = session.exec(select(Order).where(col(Order.finished_at) <= at, Order.tidied != "all")).all()
    found = (_due(session, order, at, retention_days, grace_s=grace_s, keeping=keeping) for order in rows)
    return [d for d in found if d is not None]


def _due(
    session: Session, order: Order, at: datetime, retention_days: float | None, *, grace_s: float, keeping: Keeping
) -> Due | None:
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
        spare = tuple(f"{home}/checkpoints/{step}" for step in _spare(session, order, keeping))
        return Due(order_id=order.id, keys=(f"{home}/state", *spare), pictures=False, tidied="some")
    if stage in ENDED or (stage is Stage.FAILED and order.expires_at is not None and order.expires_at <= at):
        return Due(order_id=order.id, keys=(f"{home}/pictures", f"{home}/state"), pictures=True, tidied="some")
    return None


def _spare(session: Session, order: Order, keeping: Keeping) -> list[int]:
    """Checkpoints that are neither the chosen one nor among those that the operator keeps."""
    if keeping.best is None and keeping.last is None:
        return []
    found = candidates(session, order.id)
    kept = keeping.of([(one.step, one.measurement.utility if one.measurement else None) for one in found])
    return [one.step for one in found if one.step not in kept and one.step != order.chosen_step]


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
    keeping = Keeping(best=settings.keep_best, last=settings.keep_last)
    everything = await database.transact(due, now(), settings.retention_days, grace_s=grace_s, keeping=keeping)
    for what in everything:
        for key in what.keys:
            await artifacts.delete(key)
        await database.transact(gone, what)
    await asyncio.to_thread(artifacts.sweep)
    return len(everything)


def refuse_without_room(settings: StorageSettings, plan: Plan, pictures: int) -> None:
    """Before an order is queued: room for all that it leaves in the artifacts. Raises `OrderRefused`, with the numbers."""
    if settings.artifacts_folder is None:
        return
    try:
        disk.require({settings.artifacts_folder: space.kept_bytes(plan, pictures)})
    except disk.NoRoom as small:
        raise OrderRefused(OrderFault.DISK_FULL, str(small)) from small


async def is_full(artifacts: Artifacts, settings: StorageSettings) -> bool:
    """Whether no new order should be taken: the ceiling is reached, or the artifacts' own disk is nearly full."""
    if artifacts.folder is not None:
        usage = await asyncio.to_thread(shutil.disk_usage, artifacts.folder)
        if usage.free < LEAST_FREE_BYTES:
            return True
    if settings.disk_ceiling_gb is None:
        return False
    return await artifacts.size("") >= settings.disk_ceiling_gb * 1e9
