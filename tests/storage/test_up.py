"""`lorasmith up`, with tiny programs in the place of bot and worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from storage import up

ROOT = Path(__file__).parents[2]
PARENT = """
import asyncio, sys
from storage import up
up.MOST_STARTS = 3
programs = {{name: (sys.executable, "-c", text) for name, text in {programs!r}.items()}}
sys.exit(asyncio.run(up.Up(programs, pause_s=0.05).run()))
"""
POLITE = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (open({told!r}, "a").write("told "), sys.exit(0)))
open({log!r}, "a").write("started ")
time.sleep(60)
"""
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open({log!r}, "a").write("started ")
time.sleep(60)
"""


class Started:
    """An `up` that runs, and what its programs wrote."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[str] | None = None

    def start(self, **programs: str) -> None:
        filled = {
            n: t.format(log=str(self.folder / n), told=str(self.folder / f"{n}-told")) for n, t in programs.items()
        }
        self.process = subprocess.Popen(
            [sys.executable, "-c", PARENT.format(programs=filled)], cwd=ROOT, stderr=subprocess.PIPE, text=True
        )

    def wrote(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().split() if path.exists() else []

    def ended(self) -> tuple[int, str]:
        assert self.process is not None
        _, said = self.process.communicate(timeout=20)
        return self.process.returncode, said


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    one = Started(tmp_path)
    yield one
    if one.process is not None:
        one.process.kill()
        one.process.wait()
        if one.process.stderr is not None:
            one.process.stderr.close()


def until(done: Callable[[], bool], seconds: float = 15) -> None:
    ends = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < ends
        time.sleep(0.02)


def test_a_signal_reaches_both_and_both_end_in_good_order(started: Started) -> None:
    started.start(bot=POLITE, worker=POLITE)
    until(lambda: bool(started.wrote("bot") and started.wrote("worker")))
    assert started.process is not None
    started.process.send_signal(signal.SIGINT)
    code, said = started.ended()
    assert code == 0
    assert (started.wrote("bot-told"), started.wrote("worker-told")) == (["told"], ["told"])
    assert "good order" in said


def test_a_second_signal_ends_them_at_once(started: Started) -> None:
    started.start(bot=STUBBORN, worker=POLITE)
    until(lambda: bool(started.wrote("bot") and started.wrote("worker")))
    assert started.process is not None
    started.process.terminate()
    until(lambda: bool(started.wrote("worker-told")))
    assert started.process.poll() is None
    started.process.terminate()
    code, said = started.ended()
    assert code == 0
    assert "at once" in said


def test_a_program_that_dies_is_started_again_and_for_good_takes_the_other_down(started: Started) -> None:
    started.start(bot="open({log!r}, 'a').write('started '); raise SystemExit(7)", worker=POLITE)
    code, said = started.ended()
    assert code == 7
    assert started.wrote("bot") == ["started"] * 3
    assert started.wrote("worker") == ["started"], "the other one ran on meanwhile"
    assert started.wrote("worker-told") == ["told"]
    assert "starting it again" in said
    assert "stopping everything" in said


def test_a_wrong_setup_is_not_tried_again(started: Started) -> None:
    started.start(bot="open({log!r}, 'a').write('started '); raise SystemExit(2)", worker=POLITE)
    assert started.ended()[0] == 2
    assert started.wrote("bot") == ["started"]


def test_if_up_itself_is_killed_the_programs_end_too(started: Started) -> None:
    started.start(bot=POLITE, worker=POLITE)
    until(lambda: bool(started.wrote("bot") and started.wrote("worker")))
    assert started.process is not None
    os.kill(started.process.pid, signal.SIGKILL)
    started.process.wait()
    until(lambda: bool(started.wrote("bot-told") and started.wrote("worker-told")))


def test_the_pocket_is_called_a_demonstration_and_the_way_out_has_its_size(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [n for n in os.environ if n.startswith("LORASMITH_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LORASMITH_TOKEN", "hidden-token")
    monkeypatch.setattr(up, "PROGRAMS", {"bot": (sys.executable, "-c", "raise SystemExit(2)")})
    monkeypatch.setenv("LORASMITH_BASES", "pocket")
    assert up.main([]) == 2
    said = capsys.readouterr().err
    assert "demonstration" in said
    assert "lorasmith fetch sdxl" in said
    assert "7 GB" in said
    assert "hidden-token" not in said
    monkeypatch.setenv("LORASMITH_BASE", "sdxl")
    assert up.main([]) == 2
    assert "demonstration" not in capsys.readouterr().err


def test_the_worker_serves_what_the_bot_takes_orders_for() -> None:
    assert up._bases("pocket") == "pocket"
    assert up._bases("sdxl") == "sdxl,pocket"
