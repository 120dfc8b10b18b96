"""How a turn ends without its result, with a real child process that misbehaves on request."""

from __future__ import annotations

import asyncio
import errno
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
from storage.tables import Attempt, Checkpoint
from tests.trainer.conftest import MakeBench
from tests.trainer.ordering import script
from tests.trainer.taking import (
    a_child_of,
    an_order,
    attempts,
    order_row,
    piece_row,
    stage,
    trained,
)
from trainer import ending, folder, records
from trainer.child import NeverReady
from trainer.ending import Unwritten
from trainer.events import DISK_FULL
from trainer.job import take_turn
from trainer.turn import Bench


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
        monkeypatch.setattr(ending, "WRITE_AGAIN_S", (0.0,) * 5)

    def __call__(self, *given: Any, **named: Any) -> Any:
        self.tries += 1
        if self.tries <= self._times:
            raise OSError("no space left on device")
        return self._real(*given, **named)


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


async def test_an_order_that_no_fit_is_known_for_fails_at_once_with_what_would_fit(make_bench: MakeBench) -> None:
    ready = '{"device": "RTX 2060", "kind": "cuda", "memory_gib": 5.0}'
    bench = await make_bench(bases="flux1-dev", device="cuda", ready=ready)
    id_ = await an_order(bench, base="flux1-dev")
    await trained(bench, id_)
    order = await bench.database.transact(order_row, id_)
    assert (order.stage, order.fault) == ("failed", "machine")
    assert "does not fit on this GPU, which has 5 GiB" in order.fault_reason
    assert "What would: a GPU of" in order.fault_reason
    with bench.database.session() as session:
        assert [outcome for _, outcome in attempts(session)] == ["failed"], "another turn would find the same"
