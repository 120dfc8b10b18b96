"""A training that ended early: the thread and the card say where, why, and what was given back."""

from __future__ import annotations

from typing import Any

from sqlmodel import Session, select

from storage.domain.lifecycle import Stage
from storage.tables import Attempt, DepartureRow

Bench = Any


def _ended(session: Session, order_id: str) -> None:
    for attempt in session.exec(select(Attempt).where(Attempt.order_id == order_id)):
        attempt.gpu_s, attempt.outcome = 180.0, "done"
    session.add(DepartureRow(order_id=order_id, step=6, kind="stopped_early", reason="worse"))


async def test_an_early_end_is_said_while_people_vote_and_on_the_card(bench: Bench) -> None:
    running = await bench.bot()
    order_id = await bench.order()
    await bench.trained(order_id, steps=(2, 4, 6))
    await bench.database.transact(_ended, order_id)
    await bench.vote(running, order_id)
    said = await bench.said(order_id, "Training ended early, after step 6")
    assert "two checkpoints in a row measured worse" in said.content
    assert "The plan had 10 steps; about 2 min of GPU time was given back." in said.content
    await bench.due(order_id)
    await bench.stage(order_id, Stage.SCALING)
    await bench.swept(running, order_id)
    card = await bench.said(order_id, "is ready")
    assert "Training ended early, after step 6" in card.content
