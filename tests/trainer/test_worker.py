"""Worker processes: taking turns from the real queue, draining, dying, taking over."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from sqlmodel import Session, select

from storage import leases
from storage.database import Database, migrate
from storage.settings import StorageSettings
from storage.tables import Attempt, Checkpoint, Lease, Order, Piece
from tests.trainer.conftest import MakeBench
from tests.trainer.ordering import ROOT, order_of, script
from tests.trainer.test_child import gone
from trainer import folder
from trainer.settings import POCKET, WorkerSettings
from trainer.turn import Bench

Start = Callable[..., "Process"]
TEST = Path(__file__)


class Process:
    """A worker process and what it says."""

    def __init__(self, *, log: Path, memory: Path, **settings: object) -> None:
        given = {
            "work_dir": log.with_suffix(".work"),
            "memory": memory,
            "device": "cpu",
            "threads": 1,
            "lease_s": 2,
            "beat_s": 0.3,
            "poll_s": 0.1,
            "watch_s": 0.1,
            **settings,
        }
        memory.mkdir(exist_ok=True)
        self.log = log
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, str(TEST.with_name("scripted_worker.py"))],
                cwd=ROOT,
                env={**os.environ, **{f"LORASMITH_{k.upper()}": str(v) for k, v in given.items()}},
                stdout=out,
                stderr=out,
            )

    @property
    def said(self) -> str:
        return self.log.read_text()

    def until(self, pattern: str, within_s: float = 30) -> re.Match[str]:
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            if found := re.search(pattern, self.said):
                return found
            assert self.process.poll() is None, f"ended:\n{self.said}"
            time.sleep(0.05)
        raise AssertionError(f"never said {pattern!r}:\n{self.said}")

    def child(self) -> int:
        return int(self.until(r"child is up: pid (\d+)").group(1))


@pytest.fixture
def start(data_dir: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts workers; whatever still runs at the end is killed."""
    running: list[Process] = []

    def begin(**settings: object) -> Process:
        given = {"data_dir": data_dir, **settings}
        worker = Process(log=tmp_path / f"worker-{len(running)}.log", memory=tmp_path / "memory", **given)
        running.append(worker)
        return worker

    yield begin
    for worker in running:
        worker.process.kill()
        worker.process.wait()


@pytest_asyncio.fixture
async def office(make_bench: MakeBench) -> AsyncIterator[Bench]:
    """A look at the installation, and where orders come from."""
    yield await make_bench()


def rows(bench: Bench, table: type) -> list:  # type: ignore[type-arg]
    with bench.database.session() as session:
        return list(session.exec(select(table)).all())


def wait_for(bench: Bench, what: Callable[[Session], bool], within_s: float = 40) -> None:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        with bench.database.session() as session:
            if what(session):
                return
        time.sleep(0.1)
    raise AssertionError("it never came true")


def in_stage(order_id: str, stage: str) -> Callable[[Session], bool]:
    return lambda session: session.get_one(Order, order_id).stage == stage


def checkpoints(count: int) -> Callable[[Session], bool]:
    return lambda session: len(session.exec(select(Checkpoint)).all()) >= count


def holds_a_turn(session: Session) -> bool:
    return session.exec(select(Attempt).where(Attempt.outcome == "running")).first() is not None


async def test_a_worker_takes_an_order_to_the_vote_and_drains_when_told(start: Start, office: Bench) -> None:
    worker = start()
    id_ = await order_of(office.database, office.engine, office.artifacts)
    wait_for(office, in_stage(id_, "voting"))
    lease = rows(office, Lease)[0]
    assert '"pocket"' in lease.detail_json
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(20) == 0
    assert "stopping" in worker.said
    assert worker.said.rstrip().endswith("stopped")
    assert rows(office, Lease) == []
    assert gone(worker.child(), 1)


async def test_a_worker_told_to_stop_ends_at_the_boundary_and_another_goes_on(start: Start, office: Bench) -> None:
    first = start(step_s=0.6)
    await order_of(office.database, office.engine, office.artifacts)
    first.child()
    first.process.send_signal(signal.SIGTERM)
    assert first.process.wait(30) == 0
    assert "stopping at the next checkpoint" in first.said
    assert [a.outcome for a in rows(office, Attempt)] == ["more"]
    assert [c.step for c in rows(office, Checkpoint)] == [2]
    start()
    wait_for(office, checkpoints(2))


async def test_a_second_signal_stops_at_once_and_the_turn_is_taken_again(start: Start, office: Bench) -> None:
    first = start(step_s=20)
    await order_of(office.database, office.engine, office.artifacts)
    child = first.child()
    first.process.send_signal(signal.SIGINT)
    first.until("stopping at the next checkpoint")
    began = time.monotonic()
    first.process.send_signal(signal.SIGINT)
    assert first.process.wait(30) == 0
    assert time.monotonic() - began < 8
    assert gone(child, 1)
    piece = rows(office, Piece)[0]
    assert (piece.state, piece.failures) == ("waiting", 0)
    start()
    wait_for(office, checkpoints(1))


async def test_another_worker_takes_over_when_a_lease_runs_out(start: Start, office: Bench) -> None:
    first = start(step_s=0.5)
    id_ = await order_of(office.database, office.engine, office.artifacts)
    wait_for(office, lambda session: checkpoints(1)(session) and holds_a_turn(session))
    first.process.kill()
    assert gone(first.child(), 1), "the child dies with its supervisor"
    second = start()
    second.until(r"is gone; its turns are given to others")
    wait_for(office, in_stage(id_, "voting"))
    assert len({a.executor_id for a in rows(office, Attempt)}) == 2
    assert [a.outcome for a in rows(office, Attempt)].count("lost") == 1


async def test_a_worker_whose_child_cannot_start_ends_with_a_sentence_and_leaves_the_order_to_others(
    start: Start, office: Bench
) -> None:
    id_ = await order_of(office.database, office.engine, office.artifacts)
    broken = start(script=script({"at": "start", "do": "kill", "times": 1}))
    assert broken.process.wait(30) == 2
    assert "lorasmith worker: the GPU child cannot be started" in broken.said
    assert rows(office, Attempt) == []
    assert rows(office, Lease) == []
    start()
    wait_for(office, in_stage(id_, "voting"))
    assert [a.outcome for a in rows(office, Attempt)] == ["more"] * 4 + ["done"]


async def test_a_worker_without_work_lets_go_of_the_gpu(start: Start, office: Bench) -> None:
    worker = start(idle_s=0.2)
    id_ = await order_of(office.database, office.engine, office.artifacts)
    wait_for(office, in_stage(id_, "voting"))
    worker.until("the GPU is free for others")
    assert gone(worker.child(), 5)
    assert worker.process.poll() is None


@pytest.mark.parametrize("device", ["cpu", "auto"])
def test_a_base_that_needs_a_gpu_is_refused_without_one_before_any_order_comes(
    data_dir: Path, tmp_path: Path, device: str
) -> None:
    worker = Process(
        log=tmp_path / "worker.log",
        memory=tmp_path / "memory",
        data_dir=data_dir,
        bases="sdxl",
        base_sdxl=POCKET,
        device=device,
    )
    assert worker.process.wait(30) == 2
    why = "LORASMITH_DEVICE is cpu" if device == "cpu" else "PyTorch finds no GPU on this machine"
    assert f"lorasmith worker: {why}, and sdxl cannot be trained without one" in worker.said
    assert "Traceback" not in worker.said


async def test_a_worker_waits_for_the_database_and_says_so(start: Start, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    worker = start(data_dir=empty)
    worker.until("waiting: The database is not ready")
    migrate(StorageSettings(data_dir=empty))
    worker.until("serves pocket")
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(20) == 0


def test_a_worker_refuses_a_second_machine_on_sqlite(data_dir: Path) -> None:
    database = Database(StorageSettings(data_dir=data_dir))
    with database.session() as session:
        leases.beat(session, "far:0:1", "far:0:1", "worker", 60.0).machine = "another"
    database.close()
    worker = subprocess.run(
        [sys.executable, "-m", "trainer.worker"],
        cwd=ROOT,
        env={**os.environ, "LORASMITH_DATA_DIR": str(data_dir)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert worker.returncode == 2
    assert "SQLite means one machine" in worker.stderr
    assert "Traceback" not in worker.stderr


def test_a_worker_without_its_base_says_what_to_do(tmp_path: Path) -> None:
    worker = subprocess.run(
        [sys.executable, "-m", "trainer.worker"],
        cwd=ROOT,
        env={**os.environ, "LORASMITH_BASES": "sdxl", "HF_HUB_CACHE": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert worker.returncode == 2
    assert "lorasmith fetch sdxl (about 7 GB)" in worker.stderr


def test_wrong_settings_are_named_and_their_values_are_not_printed() -> None:
    worker = subprocess.run(
        [sys.executable, "-m", "trainer.worker"],
        cwd=ROOT,
        env={**os.environ, "LORASMITH_DATABASE_URL": "mysql://me:secret@host/db", "LORASMITH_BASES": "pocket,nonsense"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert worker.returncode == 2
    assert "LORASMITH_BASES" in worker.stderr
    assert "LORASMITH_DATABASE_URL" in worker.stderr
    assert "secret" not in worker.stderr


def test_only_folders_of_orders_are_ever_removed(tmp_path: Path) -> None:
    for name in ("abcd2345", "holiday photos", "photos22"):
        (tmp_path / name).mkdir()
    (tmp_path / "abcd2345/pictures").mkdir()
    (tmp_path / "lorasmith-gpu-0.lock").touch()
    assert folder.orders_in(tmp_path) == ["abcd2345"]


def test_bases_are_a_list_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORASMITH_BASES", "pocket, sdxl")
    monkeypatch.setenv("LORASMITH_BASE_SDXL", "/models/sdxl")
    settings = WorkerSettings()
    assert settings.bases == ("pocket", "sdxl")
    assert settings.weights("sdxl") == "/models/sdxl"
    with pytest.raises(KeyError):
        WorkerSettings(bases=("pocket",)).weights("sdxl")
