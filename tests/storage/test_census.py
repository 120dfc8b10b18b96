"""What an operator counts: from rows alone."""

from __future__ import annotations

from datetime import timedelta

import pytest

from storage import leases, turns
from storage.census import census
from storage.database import Database
from storage.engine import Engine
from storage.tables import LogEntry, Order, Piece, Vote, now
from tests.storage.making import draft, started


def test_orders_turns_workers_waits_and_steps_are_counted(database: Database, client: Engine) -> None:
    with database.session() as session:
        empty = census(session)
        assert (empty.orders, empty.oldest_wait_s, empty.first_waits_s, empty.gpu_s) == ({}, 0.0, (), 0.0)
        draft(session, "d", owner="dan")
        orders = [started(session, client, str(n), owner=f"o{n}") for n in range(3)]
        leases.beat(session, "w1", "w1", "worker", 60)
        first, second = (turns.pick(session, client, w, {"pocket"}, w) for w in ("w1", "w2"))
        assert first is not None
        assert second is not None
        session.get_one(Order, first.order_id).started_at = now() - timedelta(seconds=100)
        turns.give_back(session, client, first, gpu_s=12.5, step=50, outcome="done")
        waiting = next(o.id for o in orders if o.id not in (first.order_id, second.order_id))
        session.get_one(Piece, f"{waiting}:train:1").since = now() - timedelta(seconds=60)
        for order_id, step, pace in ((second.order_id, 10, 1.0), (second.order_id, 20, 2.5), (first.order_id, 9, 7.0)):
            session.add(
                LogEntry(
                    order_id=order_id, step=step, loss=1, loss_ratio=1, learning_rate=1, steps_per_s=pace, memory_mib=1
                )
            )
        session.add(Vote(order_id=first.order_id, step=1, user_id="u"))
    with database.session() as session:
        found = census(session)
    assert found.orders == {"draft": 1, "queued": 1, "training": 2}
    assert found.pieces == {"running": 1, "waiting": 1}
    assert (found.workers, found.gpus_busy, found.votes, found.paused) == (1, 1, 1, False)
    assert (found.gpu_s, found.turns) == (12.5, {"done": 1}), "what runs has not ended: a counter may not fall"
    assert found.steps_per_s == 2.5, "the newest entry of what trains now"
    assert found.oldest_wait_s == pytest.approx(60, abs=10)
    assert found.first_waits_s[-1] == pytest.approx(100, abs=10)
    assert len(found.first_waits_s) == 2
