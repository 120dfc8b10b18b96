"""What tests of turns ask and do: orders, their rows, and turns until a training is over."""

from __future__ import annotations

import asyncio
import hashlib

from sqlmodel import Session, select

from storage import orders
from storage.tables import Attempt, Order, Piece
from tests.trainer.ordering import order_of
from trainer.child import Child
from trainer.job import take_turn
from trainer.turn import Bench


async def an_order(bench: Bench, interaction: str = "1", **kw: object) -> str:
    return await order_of(bench.database, bench.engine, bench.artifacts, interaction, **kw)  # type: ignore[arg-type]


def order_row(session: Session, order_id: str) -> Order:
    return session.get_one(Order, order_id)


def piece_row(session: Session, order_id: str) -> Piece:
    return session.exec(select(Piece).where(Piece.order_id == order_id)).one()


def attempts(session: Session) -> list[tuple[str, str]]:
    rows = session.exec(select(Attempt).order_by(Attempt.started_at)).all()  # type: ignore[arg-type]
    return [(a.order_id, a.outcome) for a in rows]


async def stage(bench: Bench, order_id: str) -> str:
    return (await bench.database.transact(order_row, order_id)).stage


async def trained(bench: Bench, order_id: str, most: int = 20) -> list[str]:
    """Take turns until the training is over; gives back the SHA-256 of every checkpoint."""
    for n in range(most):
        if await stage(bench, order_id) not in ("queued", "training"):
            break
        await take_turn(bench, f"turn-{n}")
    return [c.lora_sha256 for c in await bench.database.transact(orders.checkpoints_of, order_id)]


async def a_child_of(bench: Bench) -> Child:
    """The child, once it works on a turn."""
    while bench.executor_id not in await bench.database.transact(executors):  # noqa: ASYNC110  # nothing announces it
        await asyncio.sleep(0.02)
    assert bench.seat._child is not None
    return bench.seat._child


def executors(session: Session) -> list[str]:
    return [attempt.executor_id for attempt in session.exec(select(Attempt)).all()]


async def undisturbed(bench: Bench, order_id: str) -> list[str]:
    """What the scripted child makes of this order where nothing goes wrong: a chain of hashes, one link a step."""
    plan = await bench.database.transact(orders.plan_of, order_id)
    link, found = str(plan.seed), []
    for step in range(1, plan.steps + 1):
        link = hashlib.sha256(f"{link}:{plan.seed}:{step}".encode()).hexdigest()
        if step in plan.checkpoint_steps:
            found.append(hashlib.sha256(f"{step}:{link}".encode()).hexdigest())
    return found
