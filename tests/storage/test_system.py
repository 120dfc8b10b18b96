"""What operating systems do differently: nothing here may need the one that the tests run on."""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from storage import system

ROOT = Path(__file__).parents[2]
OURS = ("storage", "trainer", "bot")

WITHOUT = """
import builtins, gc, importlib, os, pkgutil, signal, sys, types
gc.disable()
sys.modules["bitsandbytes"] = None  # an extra, and seconds of imports
real, tried = builtins.__import__, []
MODULES = "fcntl resource pwd grp termios tty pty syslog posix".split()
MISSING = {
    # https://docs.python.org/3/library/os.html and signal.html: whatever says "Availability: Unix"
    "os": "fork forkpty geteuid getuid getgid getegid getpgid getpgrp setsid setuid setpgid killpg uname statvfs sysconf nice "
    "mkfifo mknod chown fchown getloadavg getpriority setpriority sched_getaffinity sched_setaffinity register_at_fork wait3 "
    "wait4 waitid WNOHANG pread pwrite preadv pwritev sendfile posix_fadvise posix_fallocate posix_spawn fdatasync sync pipe2 "
    "memfd_create openpty ttyname ctermid getresuid O_DIRECTORY O_NOFOLLOW O_CLOEXEC O_NONBLOCK".split(),
    "signal": "SIGKILL SIGHUP SIGUSR1 SIGUSR2 SIGCHLD SIGSTOP SIGCONT SIGTSTP SIGPIPE SIGALRM SIGQUIT SIGWINCH alarm "
    "setitimer getitimer pause pthread_kill pthread_sigmask sigwait sigpending siginterrupt".split(),
}
class Lacking(types.ModuleType):
    def __getattr__(self, name):
        if name in MISSING[self.__name__]:
            tried.append((asking(), name))
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return getattr(sys.modules[self.__name__], name)
def asking():
    return sys._getframe(2).f_globals.get("__name__", "")
stand_ins = {name: Lacking(name) for name in MISSING}
def without(name, globals=None, locals=None, fromlist=(), level=0):
    asks = (globals or {}).get("__name__", "")
    if asks.partition(".")[0] in ("storage", "trainer", "bot") and level == 0:
        if name in MODULES:
            tried.append((asks, name))
            raise ImportError(f"there is no {name} on Windows")
        if name in stand_ins:
            return stand_ins[name]
    return real(name, globals, locals, fromlist, level)
builtins.__import__ = without
done = 0
for package in map(importlib.import_module, ("storage", "trainer", "bot")):
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if "migrations.versions" in found.name or found.name.endswith("__main__") or found.name == "storage.migrations.env":
            continue
        importlib.import_module(found.name)
        done += 1
from storage import system
assert system.fcntl is None and system.resource is None and system.KILL is signal.SIGTERM
assert {("storage.system", "fcntl"), ("storage.system", "SIGKILL")} <= set(tried), tried
assert system.cpus() >= 1 and system.peak_memory_bytes() is None
for broken in ("import pwd", "import os; os.fork", "from signal import SIGKILL"):
    try:
        exec(broken, {"__name__": "bot.sample"})
    except (ImportError, AttributeError):
        continue
    raise AssertionError(f"{broken} was not noticed")
print(done)
"""


def test_every_module_imports_where_what_windows_lacks_is_missing() -> None:
    """Once, in a process of its own: modules, functions of os and signals that only Unix has are gone for our code."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(
        (sys.executable, "-W", "ignore", "-c", WITHOUT), capture_output=True, text=True, check=False, env=environment
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert int(ran.stdout.split()[-1]) > 200


ONLY_SOMEWHERE = re.compile(
    r"\bfcntl\.|\bos\.(killpg|kill\(|O_DIRECTORY|O_NOFOLLOW|sched_\w+|fork|get(e?uid|e?gid|pgid|loadavg)|set(sid|uid|pgid)"
    r"|uname|statvfs|sysconf|nice|mkfifo|chown|wait[34]|WNOHANG|p(read|write)v?\b|sendfile|posix_\w+|fdatasync|sync\()"
    r"|\bsignal\.SIG(KILL|USR|HUP|CHLD|STOP|CONT|ALRM|QUIT|PIPE)|\bsignal\.(alarm|setitimer|pause|pthread_kill|sigwait)"
    r"|add_signal_handler|preexec_fn|start_unix_server|open_unix_connection|^import (fcntl|resource|pwd|grp|termios)",
    re.MULTILINE,
)


def test_what_windows_lacks_is_used_in_one_place() -> None:
    files = [path for package in OURS for path in (ROOT / package).rglob("*.py")]
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in files
        for match in ONLY_SOMEWHERE.finditer(path.read_text(encoding="utf-8"))
        if path not in (ROOT / "storage/system.py", ROOT / "storage/lifeline.py")
    ]
    kill_of_its_own = [hit for hit in found if hit != "storage/faults.py: os.kill("]
    assert kill_of_its_own == []


def test_a_lock_is_held_by_one_and_free_once_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("a") as first, path.open("a") as second:
        system.lock(first, wait=False)
        with pytest.raises(system.Locked):
            system.lock(second, wait=False)
        first.close()
        system.lock(second, wait=False)


def test_files_and_folders_are_synced_with_and_without_open_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x")
    synced = []
    monkeypatch.setattr(os, "fsync", synced.append)
    system.sync_file(file)
    system.sync_folder(tmp_path)
    assert len(synced) == 2
    monkeypatch.delattr(os, "O_DIRECTORY")
    system.sync_folder(tmp_path)
    assert len(synced) == 2, "where folders cannot be opened nothing is"


async def test_signals_are_heard_on_loops_that_cannot_wait_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, before, told = asyncio.get_running_loop(), signal.getsignal(signal.SIGTERM), asyncio.Event()

    def windows(*_: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(loop, "add_signal_handler", windows)
    try:
        system.on_signals((signal.SIGTERM,), told.set)
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(5):
            await told.wait()
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_process_is_there_or_not() -> None:
    assert system.lives(os.getpid())
    ended = subprocess.Popen((sys.executable, "-c", ""))
    ended.wait()
    assert not system.lives(ended.pid)


@pytest.mark.parametrize(
    ("files", "most"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8),
        ({"cpu.max": "nonsense"}, 8),
    ],
)
def test_a_container_has_the_processors_that_it_was_given(
    files: dict[str, str], most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert system.cpus(tmp_path) == most
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
    assert system.cpus(tmp_path) == 1


GIB = 1 << 30
MEMINFO = f"MemTotal: {32 * GIB // 1024} kB\nMemAvailable: {20 * GIB // 1024} kB\n"
FIRST = {
    "memory/memory.limit_in_bytes": str(8 * GIB),
    "memory/memory.usage_in_bytes": str(6 * GIB),
    "memory/memory.stat": f"cache 5\ntotal_inactive_file {GIB}\n",
}
SECOND = {
    "memory.max": str(16 * GIB),
    "memory.current": str(6 * GIB),
    "memory.stat": f"anon 1\ninactive_file {2 * GIB}\nslab 3\n",
}


@pytest.mark.parametrize(
    ("files", "free_gib"),
    [
        ({"meminfo": MEMINFO}, 20),
        ({"meminfo": MEMINFO, "memory.max": "max\n", "memory.current": "5", "memory.stat": ""}, 20),
        ({"meminfo": MEMINFO, **SECOND}, 12),
        ({"meminfo": MEMINFO, **FIRST}, 3),
        ({"meminfo": "nonsense", **SECOND}, 12),
    ],
)
def test_a_container_has_the_memory_that_is_left_of_its_own(
    files: dict[str, str], free_gib: int, tmp_path: Path
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert system.free_memory_bytes(tmp_path / "meminfo", tmp_path) == free_gib * GIB


def test_where_no_file_says_what_is_free_the_system_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = tmp_path / "meminfo"
    everything = system.free_memory_bytes(nowhere, tmp_path)
    assert everything is not None
    assert everything > 1 << 28, "all there is, where nobody says more"

    class Kernel:
        @staticmethod
        def GlobalMemoryStatusEx(said: Any) -> int:  # noqa: N802 -- Windows' own name
            status = said._obj
            assert status.length == ctypes.sizeof(status) == 64
            status.free = 5 * GIB
            return 1

    monkeypatch.setattr(ctypes, "windll", SimpleNamespace(kernel32=Kernel), raising=False)
    assert system.free_memory_bytes(nowhere, tmp_path) == 5 * GIB
    monkeypatch.undo()
    monkeypatch.delattr(os, "sysconf")
    assert system.free_memory_bytes(nowhere, tmp_path) is None


def test_memory_is_in_bytes_on_every_system(monkeypatch: pytest.MonkeyPatch) -> None:
    here = system.peak_memory_bytes()
    assert here is not None
    assert here > 10_000_000
    monkeypatch.setattr(sys, "platform", "darwin")
    assert (system.peak_memory_bytes() or 0) < here, "what the kernel says is bytes already there"
    monkeypatch.setattr(system, "resource", None)
    assert system.peak_memory_bytes() is None
