"""A training that ends before its plan does: decided from rows, kept as a departure, given back, and replayed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlmodel import Session, select

from storage import orders, pieces
from storage.domain.errors import Fault
from storage.domain.lifecycle import Stage
from storage.domain.pace import training_s
from storage.domain.stopping import Because
from storage.stopping import stop_of
from storage.tables import Attempt, Community, DepartureRow, PlanRow
from tests.trainer.conftest import MakeBench
from tests.trainer.ordering import script
from tests.trainer.taking import an_order, attempts, stage, trained, undisturbed
from trainer.turn import Bench


async def stoppable(bench: Bench) -> str:
    """An order of five checkpoints whose plan may end early; the scripted child's previews are best at step 6."""
    id_ = await an_order(bench)

    def allow(session: Session) -> None:
        row = session.get_one(PlanRow, id_)
        row.plan_json = replace(orders.plan_of(session, id_), early_stop=True).to_json()

    await bench.database.transact(allow)
    return id_


def departures(session: Session, order_id: str) -> list[tuple[int, str, str]]:
    rows = session.exec(select(DepartureRow).where(DepartureRow.order_id == order_id)).all()
    return [(row.step, row.kind, row.reason) for row in rows]


async def test_a_training_ends_early_also_where_the_child_dies_at_that_moment_and_gives_back_the_rest(
    make_bench: MakeBench,
) -> None:
    bench = await make_bench(script=script({"at": "checkpointed", "step": 6, "do": "kill"}))
    id_ = await stoppable(bench)
    assert await trained(bench, id_) == (await undisturbed(bench, id_))[:3]
    assert await stage(bench, id_) == Stage.VOTING
    assert await bench.artifacts.list(f"orders/{id_}/state") == []
    with bench.database.session() as session:
        assert departures(session, id_) == [(6, "stopped_early", "settled")], "once, though it was trained twice"
        assert [o for _, o in attempts(session)] == ["more", "more", "failed", "done"]
        assert pieces.waiting(session) == [], "nobody waits for the rest"
        spent = session.exec(select(Attempt)).all()
        assert session.exec(select(Community)).one().tag == pytest.approx(sum(a.gpu_s for a in spent), abs=0.01)
        stop = stop_of(session, id_, orders.plan_of(session, id_))
        assert stop is not None
        assert (stop.step, stop.steps, stop.because) == (6, 10, Because.SETTLED)
        useful = sum(a.gpu_s for a in spent if a.outcome != "failed")
        plan = orders.plan_of(session, id_)
        rest = training_s(plan) / training_s(plan, 6) - 1
        assert rest < 2 / 3, "two of five segments were left, and the base's panel is behind"
        assert stop.saved_s == pytest.approx(useful * rest, abs=0.06)
    await bench.database.transact(_try_again, bench, id_)
    assert len(await trained(bench, id_)) == 3, "a retry does not train what was not wanted"
    assert await stage(bench, id_) == Stage.VOTING


def _try_again(session: Session, bench: Bench, id_: str) -> None:
    orders.fail(session, bench.engine, id_, Fault.MACHINE, "the disk was full")
    orders.retry(session, bench.engine, id_)


async def test_an_order_that_is_made_again_ends_where_it_ended_whatever_is_measured_now(bench: Bench) -> None:
    id_ = await stoppable(bench)

    def replay(session: Session) -> None:
        session.add(DepartureRow(order_id=id_, step=4, kind="stopped_early", reason="what only a later version says"))
        assert stop_of(session, id_, orders.plan_of(session, id_)) is None, "it is not there yet"

    await bench.database.transact(replay)
    assert len(await trained(bench, id_)) == 2
    with bench.database.session() as session:
        assert departures(session, id_) == [(4, "stopped_early", "what only a later version says")]
        stop = stop_of(session, id_, orders.plan_of(session, id_))
        assert stop is not None
        assert stop.because == "what only a later version says"
