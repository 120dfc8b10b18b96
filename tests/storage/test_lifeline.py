"""Whoever starts a program takes it along, however abruptly it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from storage import lifeline

ROOT = Path(__file__).parents[2]
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the call")
STARTER = """
import subprocess, sys, time
from storage.lifeline import tied
subprocess.Popen(tied((sys.executable, "-c", sys.argv[1]), ends_by=int(sys.argv[2]), nice=3))
time.sleep(60)
"""
PROGRAM = """
import os, pathlib, signal, time
log = pathlib.Path({log!r})
signal.signal(signal.SIGTERM, lambda *_: (log.write_text(log.read_text() + " told"), os._exit(0)))
log.write_text(f"{{os.getpid()}} {{os.nice(0)}}")
time.sleep(60)
"""


def until(done: Callable[[], bool], seconds: float = 15) -> None:
    ends = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < ends
        time.sleep(0.02)


def lives(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def words(log: Path) -> list[str]:
    return log.read_text().split() if log.exists() else []


@on_linux
@pytest.mark.parametrize(("ends_by", "said"), [(signal.SIGTERM, ["told"]), (signal.SIGKILL, [])])
def test_when_the_starter_is_killed_the_program_gets_the_signal_asked_for(
    ends_by: int, said: list[str], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    program = PROGRAM.format(log=str(log))
    starter = subprocess.Popen([sys.executable, "-c", STARTER, program, str(int(ends_by))], cwd=ROOT)
    until(lambda: len(words(log)) == 2)
    pid, nice = map(int, words(log))
    assert lives(pid)
    assert nice == min(19, os.nice(0) + 3)
    starter.kill()
    starter.wait()
    until(lambda: not lives(pid))
    assert words(log)[2:] == said


def test_a_program_whose_starter_is_gone_already_is_not_begun(tmp_path: Path) -> None:
    began = tmp_path / "began"
    command = list(lifeline.tied(("touch", str(began)), ends_by=signal.SIGTERM))
    gone = subprocess.Popen(["true"])
    gone.wait()
    command[command.index(str(os.getpid()))] = str(gone.pid)
    assert subprocess.run(command, check=False).returncode == 1
    assert not began.exists()


def test_where_the_call_does_not_exist_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifeline.ctypes, "CDLL", lambda *_a, **_k: pytest.fail("there is no such call here"))
    for platform in ("darwin", "win32"):
        monkeypatch.setattr(lifeline.sys, "platform", platform)
        lifeline.end_with_parent(signal.SIGTERM)
    assert lifeline.tied(("program", "argument"), ends_by=signal.SIGTERM) == ("program", "argument")


def test_it_can_be_imported_where_modules_and_signals_of_unix_are_missing() -> None:
    program = (
        "import signal, sys\n"
        "for name in ('fcntl', 'resource', 'pwd', 'grp', 'termios', 'posix'): sys.modules[name] = None\n"
        "del signal.SIGKILL\n"
        "sys.platform = 'win32'\n"
        "import storage.lifeline\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


def test_the_call_is_written_once() -> None:
    sources = [p for package in ("bot", "storage", "trainer") for p in (ROOT / package).rglob("*.py")]
    assert [p.name for p in sources if "prctl(" in p.read_text().replace("prctl(2)", "")] == ["lifeline.py"]
