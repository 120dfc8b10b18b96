"""What the child says during a turn is heard, and so is its silence."""

from __future__ import annotations

import asyncio
import json

from sqlmodel import select

from storage.tables import DepartureRow, Progress
from tests.trainer.conftest import MakeBench
from tests.trainer.ordering import STEPS, script
from tests.trainer.taking import (
    an_order,
    attempts,
    trained,
)
from trainer.job import take_turn


async def test_departures_are_rows_before_anything_later_and_once(make_bench: MakeBench) -> None:
    bench = await make_bench(
        script=script(
            {"at": "train", "step": 3, "do": "depart", "times": 2}, {"at": "checkpointed", "step": 4, "do": "kill"}
        )
    )
    id_ = await an_order(bench)
    await trained(bench, id_)
    with bench.database.session() as session:
        rows = session.exec(select(DepartureRow)).all()
        assert [(r.step, r.kind) for r in rows] == [(3, "learning_rate_halved")]
    job = json.loads((bench.settings.work / id_ / "job.json").read_text())
    assert [d["kind"] for d in job["departures"]] == ["learning_rate_halved"]


async def test_the_same_departure_at_the_same_step_counts_as_often_as_it_came(make_bench: MakeBench) -> None:
    twice: list[dict[str, object]] = [
        {"at": "train", "step": 3, "do": "depart", "times": 2, "ordinal": n} for n in (0, 1)
    ]
    bench = await make_bench(script=script(*twice, {"at": "checkpointed", "step": 4, "do": "kill"}))
    id_ = await an_order(bench)
    await trained(bench, id_)
    job = json.loads((bench.settings.work / id_ / "job.json").read_text())
    assert [(d["step"], d["kind"]) for d in job["departures"]] == [(3, "learning_rate_halved")] * 2
    with bench.database.session() as session:
        assert [r.ordinal for r in session.exec(select(DepartureRow)).all()] == [0, 1]


async def test_silence_is_said_in_the_row_and_ends_the_child_in_the_end(make_bench: MakeBench) -> None:
    bench = await make_bench(script=script({"at": "train", "step": 3, "do": "stall"}), stall_s=0.3, hang_s=1.5)
    id_ = await an_order(bench)
    await take_turn(bench, "first")
    turn = asyncio.create_task(take_turn(bench, "second"))
    said = None
    while not turn.done():
        await asyncio.sleep(0.05)
        with bench.database.session() as session:
            progress = session.get(Progress, id_)
            said = progress if progress and progress.stage == "stalled" else said
    await turn
    assert said is not None
    assert said.steps == STEPS
    with bench.database.session() as session:
        assert [o for _, o in attempts(session)] == ["more", "failed"]
    assert len(await trained(bench, id_)) == 5
