"""Stopping an order: the wish is written first, in the same transaction as what follows from it; then the GPU is told."""

from __future__ import annotations

from sqlmodel import Session

from bot.parts import Parts
from bot.wording import By
from storage.domain.errors import OrderFault, OrderRefused
from storage.domain.lifecycle import TABLE, Stage
from storage.drafts import locked_order
from storage.orders import ask_cancel, cancel
from storage.pieces import Enqueues


async def cancel_order(
    parts: Parts, order_id: str, *, member_id: str, reason: str = "", by: By = "owner"
) -> tuple[str, bool]:
    """Stop an order of this member, or anybody's for a moderator or for the bot itself.

    Gives back its name, and whether it was this that stopped it: one that was cancelled before is let be. Raises
    `OrderRefused`: NOT_YOURS, TOO_LATE, UNKNOWN.
    """
    name, running, gone, anew = await parts.database.transact(_cancel, parts.engine, order_id, member_id, reason, by=by)
    for turn in running:
        await parts.engine.cancel(turn)
    if gone:
        await parts.artifacts.delete(f"orders/{order_id}/pictures")
    return name, anew


def _cancel(
    session: Session, engine: Enqueues, order_id: str, member_id: str, reason: str, *, by: By
) -> tuple[str, list[str], bool, bool]:
    order = locked_order(session, order_id)
    if order.owner_id != member_id and by == "owner":
        raise OrderRefused(OrderFault.NOT_YOURS)
    if order.stage == Stage.CANCELLED.value:
        return order.name, [], True, False
    if not TABLE[Stage(order.stage)].next:
        raise OrderRefused(OrderFault.TOO_LATE)
    names: dict[By, str] = {"owner": member_id, "moderator": f"moderator:{member_id}", "system": "system"}
    ask_cancel(session, order_id, names[by], reason)
    running = cancel(session, engine, order_id)
    return order.name, running, not running, True
