"""The story of a turn, with a real child process that speaks the real events and trains nothing."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import obstore
import pytest
from obstore.exceptions import GenericError
from sqlmodel import Session, select

from storage import orders, turns
from storage.domain.fairness import Waiting
from storage.domain.measurement import ScaleChoice
from storage.domain.orders import attachable_bytes
from storage.domain.plan import Fit
from storage.tables import Attempt, Checkpoint, Delivery, DepartureRow, Order, Piece, Progress
from tests.trainer.conftest import MakeBench
from tests.trainer.ordering import STEPS, order_of, script
from trainer import folder, job, records
from trainer.child import Child, NeverReady
from trainer.events import DISK_FULL
from trainer.job import Bench, Unwritten, take_turn


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


async def test_a_child_that_always_dies_fails_the_order_after_three_turns(make_bench: MakeBench) -> None:
    bench = await make_bench(script=script({"at": "train", "step": 1, "do": "kill", "times": 99}))
    id_ = await an_order(bench)
    await trained(bench, id_)
    order = await bench.database.transact(order_row, id_)
    assert (order.stage, order.fault) == ("failed", "machine")
    assert "memory runs out (SIGKILL)" in order.fault_reason
    assert "child" not in order.fault_reason
    with bench.database.session() as session:
        assert [o for _, o in attempts(session)] == ["failed"] * 3


async def test_a_machine_that_cannot_work_touches_no_order_and_another_does_it(make_bench: MakeBench) -> None:
    broken = await make_bench(script=script({"at": "start", "do": "kill", "times": 99}))
    id_ = await an_order(broken)
    for turn in range(4):
        with pytest.raises(
            NeverReady, match="cannot be started: the GPU child ended by SIGKILL; it wrote: about to kill"
        ):
            await take_turn(broken, f"turn-{turn}")
    with broken.database.session() as session:
        assert session.exec(select(Attempt)).all() == []
        piece = piece_row(session, id_)
        assert (piece.state, piece.failures, order_row(session, id_).stage) == ("waiting", 0, "queued")
    assert len(await trained(await make_bench(), id_)) == 5


async def test_a_child_that_dies_before_its_turn_and_is_not_replaced_costs_the_order_nothing(
    make_bench: MakeBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = await make_bench(script=script({"at": "start", "do": "kill", "times": 2}))
    id_ = await an_order(bench)
    used_up = [tmp_path / "memory" / f"done-0-{n}" for n in range(2)]
    for mark in used_up:
        mark.touch()
    prepare = folder.prepare

    async def prepare_while_it_dies(*given: Any, **named: Any) -> None:
        await prepare(*given, **named)
        for mark in used_up:
            mark.unlink(missing_ok=True)
        await bench.seat.clear()

    monkeypatch.setattr(folder, "prepare", prepare_while_it_dies)
    with pytest.raises(NeverReady):
        await take_turn(bench, "turn")
    with bench.database.session() as session:
        assert (piece_row(session, id_).state, piece_row(session, id_).failures) == ("waiting", 0)
    monkeypatch.undo()
    for mark in used_up:
        mark.touch()
    assert len(await trained(bench, id_)) == 5


@pytest.mark.parametrize("what", ["failed", "ended"])
async def test_the_end_of_a_turn_is_written_down_although_that_fails_at_first(
    make_bench: MakeBench, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    misfortune = {"failed": "fail program never", "ended": "kill"}[what]
    bench = await make_bench(script=script({"at": "train", "step": 1, "do": misfortune}))
    id_ = await an_order(bench)
    if what == "ended":
        bench.fence._sent = -1e9  # this worker counts as dead: what it holds is only given back
    failing = Failing(monkeypatch, what, times=2)
    await take_turn(bench, "turn")
    assert failing.tries == 3
    assert (await bench.database.transact(piece_row, id_)).state != "running"
    assert await stage(bench, id_) == {"failed": "failed", "ended": "training"}[what]


async def test_a_worker_that_cannot_write_down_how_a_turn_ended_says_so_and_keeps_it(
    make_bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = await make_bench(script=script({"at": "train", "step": 1, "do": "fail program never"}))
    id_ = await an_order(bench)
    Failing(monkeypatch, "failed", times=99)
    with pytest.raises(Unwritten, match="could not be written down"):
        await take_turn(bench, "turn")
    assert (await bench.database.transact(piece_row, id_)).state == "running"
    monkeypatch.undo()
    await bench.database.transact(turns.give_up, bench.engine, bench.executor_id)  # what the reaper does
    assert len(await trained(bench, id_)) == 5


class Failing:
    """A record that fails so often before it works."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str, *, times: int) -> None:
        self.tries, self._times, self._real = 0, times, getattr(records, name)
        monkeypatch.setattr(records, name, self)
        monkeypatch.setattr(job, "WRITE_AGAIN_S", (0.0,) * 5)

    def __call__(self, *given: Any, **named: Any) -> Any:
        self.tries += 1
        if self.tries <= self._times:
            raise OSError("no space left on device")
        return self._real(*given, **named)


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


async def test_a_fault_that_another_turn_may_mend_is_tried_again(make_bench: MakeBench) -> None:
    bench = await make_bench(script=script({"at": "train", "step": 3, "do": "fail machine retry", "times": 2}))
    id_ = await an_order(bench)
    assert len(await trained(bench, id_)) == 5
    assert await stage(bench, id_) == "voting"
    with bench.database.session() as session:
        assert [o for _, o in attempts(session)][:4] == ["more", "failed", "failed", "more"]


@pytest.mark.parametrize("fault", ["pictures", "program"])
async def test_a_fault_that_no_turn_can_mend_fails_the_order_at_once_and_says_whose(
    make_bench: MakeBench, fault: str
) -> None:
    bench = await make_bench(script=script({"at": "train", "step": 3, "do": f"fail {fault} never"}))
    id_ = await an_order(bench)
    await trained(bench, id_)
    order = await bench.database.transact(order_row, id_)
    assert (order.stage, order.fault, order.fault_reason) == ("failed", fault, f"scripted {fault} fault")
    await bench.database.transact(orders.retry, bench.engine, id_)
    assert len(await trained(bench, id_)) == 5, "Retry goes on where it was stored"
    assert await stage(bench, id_) == "voting"


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


async def test_a_cancelled_order_stops_its_child_within_moments(make_bench: MakeBench) -> None:
    bench = await make_bench(step_s=0.5)
    id_ = await an_order(bench)
    turn = asyncio.create_task(take_turn(bench, "first"))
    child = await a_child_of(bench)

    def cancel(session: Session) -> list[str]:
        orders.ask_cancel(session, id_, "ann")
        return orders.cancel(session, bench.engine, id_)

    assert await bench.database.transact(cancel) == ["first"]
    began = time.monotonic()
    await turn
    assert time.monotonic() - began < 1.5
    assert not child.alive
    with bench.database.session() as session:
        assert piece_row(session, id_).state == "cancelled"
        assert attempts(session) == [(id_, "cancelled")]
        assert session.exec(select(Checkpoint)).all() == []
    assert await take_turn(bench, "next") is None


async def test_a_turn_that_is_cut_off_is_taken_again_and_not_counted_as_a_failure(make_bench: MakeBench) -> None:
    bench = await make_bench(step_s=0.2)
    id_ = await an_order(bench)
    turn = asyncio.create_task(take_turn(bench, "first"))
    await a_child_of(bench)
    turn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await turn
    piece = await bench.database.transact(piece_row, id_)
    assert (piece.state, piece.failures, piece.step) == ("waiting", 0, 0)


async def test_a_turn_that_is_cut_off_while_it_is_picked_leaves_nothing_running(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = await an_order(bench)
    pick, picked = turns.pick, threading.Event()

    def slow_pick(*given: Any) -> Any:
        taken = pick(*given)
        picked.set()
        time.sleep(0.2)
        return taken

    monkeypatch.setattr(turns, "pick", slow_pick)
    turn = asyncio.create_task(take_turn(bench, "first"))
    await asyncio.to_thread(picked.wait)
    turn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await turn
    assert (await bench.database.transact(piece_row, id_)).state == "waiting"


async def test_a_worker_that_was_taken_for_dead_writes_nothing_more(make_bench: MakeBench) -> None:
    """It went to sleep with a checkpoint in its hands; meanwhile another worker finished the segment."""
    sleepy, other = await make_bench(step_s=0.3), await make_bench()
    id_ = await an_order(sleepy)
    turn = asyncio.create_task(take_turn(sleepy, "first"))
    await a_child_of(sleepy)
    await other.database.transact(turns.give_up, other.engine, sleepy.executor_id)
    await take_turn(other, "second")
    before = await other.database.transact(piece_row, id_)
    await turn
    after = await other.database.transact(piece_row, id_)
    assert before.model_dump() == after.model_dump()
    with other.database.session() as session:
        assert [o for _, o in attempts(session)] == ["lost", "more"]
        assert len(session.exec(select(Checkpoint)).all()) == 1


async def test_a_fence_that_falls_stops_the_child_and_leaves_the_piece_waiting(make_bench: MakeBench) -> None:
    bench = await make_bench(lease_s=0.4)
    id_ = await an_order(bench)
    await asyncio.sleep(0.5)
    await take_turn(bench, "late")
    piece = await bench.database.transact(piece_row, id_)
    assert (piece.state, piece.step) == ("waiting", 0)
    assert bench.seat._child is None


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


NO_SPACE = "Generic LocalFileSystem error: Unable to copy data to file: No space left on device (os error 28)"


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), GenericError(NO_SPACE)])
async def test_a_full_disk_ends_the_order_by_name_and_frees_its_job_folder(
    make_bench: MakeBench, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = await make_bench()
    id_ = await an_order(bench)
    put = obstore.put_async

    async def full(store: Any, key: str, what: Any, **named: Any) -> Any:
        if "/checkpoints/" in key:
            raise error
        return await put(store, key, what, **named)

    with monkeypatch.context() as patched:
        patched.setattr(obstore, "put_async", full)
        await trained(bench, id_)
    order = await bench.database.transact(order_row, id_)
    assert (order.stage, order.fault, order.fault_reason) == ("failed", "machine", DISK_FULL)
    assert not (bench.settings.work / id_).exists()
    await bench.database.transact(orders.retry, bench.engine, id_)
    assert len(await trained(bench, id_)) == 5, "with room again it is done"


async def test_an_order_that_the_disk_has_no_room_for_is_refused_before_its_first_step_with_numbers(
    make_bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = await make_bench()
    id_ = await an_order(bench)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1 << 40, 0, 1 << 20))  # type: ignore[attr-defined]
    await trained(bench, id_)
    order = await bench.database.transact(order_row, id_)
    assert (order.stage, order.fault) == ("failed", "machine")
    assert "of disk, and 0.0 GB are free" in order.fault_reason
    assert not (bench.settings.work / id_).exists()
