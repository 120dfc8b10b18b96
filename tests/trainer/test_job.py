"""The story of a turn, with a real child process that speaks the real events and trains nothing."""

from __future__ import annotations

import json

import pytest
from sqlmodel import Session, select

from storage import orders, turns
from storage.domain.fairness import Waiting
from storage.domain.measurement import ScaleChoice
from storage.domain.orders import attachable_bytes
from storage.domain.plan import Fit
from storage.tables import Attempt, Checkpoint, Delivery, Order, Progress
from tests.trainer.conftest import MakeBench
from tests.trainer.ordering import STEPS, script
from tests.trainer.taking import (
    an_order,
    attempts,
    order_row,
    piece_row,
    stage,
    trained,
    undisturbed,
)
from trainer.job import take_turn
from trainer.turn import Bench


async def test_a_training_goes_segment_by_segment_to_the_vote(bench: Bench) -> None:
    id_ = await an_order(bench)
    taken = await take_turn(bench, "turn")
    assert taken is not None
    assert await stage(bench, id_) == "training"
    piece = await bench.database.transact(piece_row, id_)
    assert (piece.step, piece.state, piece.turn) == (2, "waiting", 1)
    child = bench.seat._child
    assert child is not None
    await trained(bench, id_)
    assert bench.seat._child is child, "the live child went on"
    assert await stage(bench, id_) == "voting"
    rows = await bench.database.transact(orders.checkpoints_of, id_)
    assert [c.step for c in rows] == [2, 4, 6, 8, 10]
    assert [c.lora_sha256 for c in rows] == await undisturbed(bench, id_)
    for row in rows:
        assert await bench.artifacts.exists(row.grid_artifact)
        assert len(await bench.artifacts.read(row.lora_artifact, 1000)) == row.lora_bytes
        previews = json.loads(row.previews_json)
        assert [p["base"] for p in previews] == [False, True]
        assert all([await bench.artifacts.exists(p["key"]) for p in previews])
    assert await bench.artifacts.list(f"orders/{id_}/base") == [f"orders/{id_}/base/base-0-7.png"], (
        "once, not five times"
    )
    assert await bench.artifacts.list(f"orders/{id_}/state") == []
    assert await take_turn(bench, "one more") is None
    with bench.database.session() as session:
        done = session.exec(select(Attempt)).all()
        assert [a.outcome for a in done].count("more") == 4
        assert Fit.from_json(done[0].fit_json).device == "cpu"
        assert json.loads(done[0].versions_json) == {"scripted": "1"}
        assert all(a.gpu_s > 0 for a in done)
        progress = session.get_one(Progress, id_)
        assert (progress.stage, progress.steps) == ("training", STEPS)


async def test_a_sweep_stores_scale_and_delivery_and_hands_over_to_the_bot(make_bench: MakeBench) -> None:
    bench = await make_bench()
    id_ = await an_order(bench)
    await trained(bench, id_)

    def choose(session: Session) -> None:
        order_row(session, id_).chosen_step = 6
        orders.move(session, bench.engine, id_, "scaling")

    await bench.database.transact(choose)
    other = await make_bench()  # another machine: nothing is in its work folder
    await take_turn(other, "sweep")
    fetched = [p.name for p in (other.settings.work / id_ / "checkpoints" / "6").iterdir()]
    assert fetched == ["lora.safetensors"], "a sweep needs nothing else of the checkpoint"
    assert await stage(bench, id_) == "delivering"
    with bench.database.session() as session:
        order = session.get_one(Order, id_)
        assert order.scale_json is not None
        assert ScaleChoice.from_json(order.scale_json).recommended == 0.8
        files = json.loads(session.get_one(Delivery, f"{id_}:final:6").files_json)
        chosen = session.get_one(Checkpoint, (id_, 6))
    assert set(files) == {"lora", "sidecar", "preview", "strip"}
    asked = json.loads(await bench.artifacts.read(files["sidecar"], 1000))["asked"]
    assert asked == attachable_bytes(order.max_file_bytes) < order.max_file_bytes, "what the bot takes for attachable"
    assert await bench.artifacts.read(files["lora"], 1000) == await bench.artifacts.read(chosen.lora_artifact, 1000)


@pytest.mark.parametrize("what", ["kill", "garbage", "unknown field"])
async def test_a_child_lost_in_the_middle_of_a_segment_costs_a_turn_and_changes_nothing(
    make_bench: MakeBench, what: str
) -> None:
    bench = await make_bench(script=script({"at": "train", "step": 5, "do": what}))
    id_ = await an_order(bench)
    disturbed = await trained(bench, id_)
    with bench.database.session() as session:
        assert [o for _, o in attempts(session)] == ["more", "more", "failed", "more", "more", "done"]
        assert piece_row(session, id_).failures == 0
    assert disturbed == await undisturbed(bench, id_)


async def test_a_child_without_work_leaves_after_a_while_and_comes_back_for_the_next_turn(bench: Bench) -> None:
    id_ = await an_order(bench)
    await take_turn(bench, "first")
    child = bench.seat._child
    assert child is not None
    await bench.seat.leave_if_idle(3600)
    assert child.alive
    await bench.seat.leave_if_idle(0)
    assert not child.alive
    assert len(await trained(bench, id_)) == 5


async def test_nothing_is_started_where_nothing_waits(make_bench: MakeBench) -> None:
    bench = await make_bench(script=script({"at": "start", "do": "kill", "times": 99}))
    assert await take_turn(bench, "turn") is None


async def test_two_orders_of_two_communities_alternate_on_one_child(make_bench: MakeBench) -> None:
    bench = await make_bench(step_s=0.1)
    a, b = await an_order(bench, "1", community="A"), await an_order(bench, "2", community="B")
    taken = []
    for n in range(10):
        turn = await take_turn(bench, f"turn-{n}")
        assert turn is not None
        taken.append("a" if turn.order_id == a else "b")
    assert abs(taken[:6].count("a") - 3) <= 1, taken
    assert await stage(bench, a) == await stage(bench, b) == "voting"


async def test_another_machine_goes_on_from_the_stored_state(make_bench: MakeBench) -> None:
    one, two = await make_bench(), await make_bench()
    id_ = await an_order(one)
    for n in range(3):
        await take_turn(one, f"{n}")
    assert [k.rsplit("/", 2)[1] for k in await one.artifacts.list(f"orders/{id_}/state")] == ["6", "6"]
    assert await trained(two, id_) == await undisturbed(one, id_)
    assert (two.settings.work / id_ / "state/6/state.json").is_file(), "fetched, not trained again"
    assert not (two.settings.work / id_ / "checkpoints/6").exists()


async def test_a_file_outside_the_job_folder_is_never_stored(make_bench: MakeBench) -> None:
    bench = await make_bench(script=script({"at": "train", "step": 2, "do": "outside", "times": 99}))
    id_ = await an_order(bench)
    await trained(bench, id_)
    order = await bench.database.transact(order_row, id_)
    assert order.stage == "failed"
    assert not [k for k in await bench.artifacts.list(f"orders/{id_}") if "pictures" not in k]


async def test_a_base_that_this_worker_does_not_serve_is_left_to_others(make_bench: MakeBench) -> None:
    bench = await make_bench(bases="sdxl")
    id_ = await an_order(bench)
    assert await take_turn(bench, "turn") is None
    waiting: list[Waiting] = await bench.database.transact(turns.waiting)
    assert [w.piece_id for w in waiting] == [f"{id_}:train:1"]
