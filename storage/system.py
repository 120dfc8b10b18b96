"""What operating systems do differently: locks of files, what survives a power cut, signals, how much of a machine is ours.

Linux and macOS have `fcntl`, `resource` and signals on an event loop; Windows has none of them, and everything here still works
there in its own way. Only the standard library is imported.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]
try:
    import msvcrt
except ImportError:  # everywhere else
    msvcrt = None  # type: ignore[assignment]
try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

KILL: signal.Signals = getattr(signal, "SIGKILL", signal.SIGTERM)
"""What ends a process at once; Windows has one way to end a process, and it is that."""
_FOREVER_S = 1 << 31


class Locked(OSError):
    """Another process holds this lock."""


def lock(file: IO[Any], *, wait: bool) -> None:
    """Hold a file until it is closed or the process ends. Raises `Locked` where somebody else does and nobody waits."""
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Locked(str(error)) from error
        return
    if msvcrt is None:
        return
    windows: Any = msvcrt  # known to type checkers on Windows alone
    file.seek(_FOREVER_S - 1)  # one byte far behind the end: whatever is in the file can still be read
    while True:
        try:
            windows.locking(file.fileno(), windows.LK_LOCK if wait else windows.LK_NBLCK, 1)
        except OSError as error:
            if not wait:
                raise Locked(str(error)) from error
        else:
            return


def sync_file(path: Path) -> None:
    """On return the file's bytes survive a power cut. Windows wants to be able to write to it for that."""
    handle = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(path: Path) -> None:
    """On return what is in the folder survives a power cut; Windows cannot open a folder, and keeps its names by itself."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def on_signals(numbers: Iterable[signal.Signals], told: Callable[[], object]) -> None:
    """Call `told` on the running event loop when one of these signals comes; Windows' loop cannot wait for signals itself."""
    loop = asyncio.get_running_loop()
    for number in numbers:
        try:
            loop.add_signal_handler(number, told)
        except NotImplementedError:
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(told))


def lives(pid: int) -> bool:
    """Whether a process is there. On Windows nobody is asked: signal 0 would be Ctrl-C there."""
    if sys.platform == "win32":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def kill_group(pid: int) -> None:
    """End a process and all that it started, now. Raises `ProcessLookupError`, `PermissionError`."""
    if hasattr(os, "killpg"):
        os.killpg(pid, KILL)
    else:
        os.kill(pid, KILL)


def peak_memory_bytes() -> int | None:
    """The most memory that this process has held; None where nobody could say. Linux counts in KiB, macOS in bytes."""
    if resource is None:
        return None
    most: int = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def free_memory_bytes(meminfo: Path = Path("/proc/meminfo"), cgroup: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Main memory that nobody uses, files that can be read again aside, and at most what a container has left; None where
    nobody could say. macOS says only how much there is.
    """
    found = [_available(meminfo), _left(cgroup), _windows_free()]
    known = [count for count in found if count is not None]
    if known:
        return max(0, min(known))
    with contextlib.suppress(AttributeError, ValueError, OSError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def _available(meminfo: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError, StopIteration, IndexError):
        lines = meminfo.read_text().splitlines()
        return int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1]) * 1024
    return None


def _left(cgroup: Path) -> int | None:
    """Of cgroups, second version or first: the limit less what is in use, without files that were read and can be dropped."""
    for folder, most, used, dropped in (
        (cgroup, "memory.max", "memory.current", "inactive_file "),
        (cgroup / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "),
    ):
        with contextlib.suppress(OSError, ValueError):  # "max" is no number: there is no limit
            limit, now = int((folder / most).read_text()), int((folder / used).read_text())
            lines = (folder / "memory.stat").read_text().splitlines()
            return limit - now + sum(int(line.split()[1]) for line in lines if line.startswith(dropped))
    return None


class _MemoryStatus(ctypes.Structure):
    """MEMORYSTATUSEX of Windows: https://learn.microsoft.com/windows/win32/api/sysinfoapi/ns-sysinfoapi-memorystatusex"""

    _fields_ = (
        ("length", ctypes.c_uint32),
        ("load", ctypes.c_uint32),
        *((name, ctypes.c_uint64) for name in ("total", "free", "a", "b", "c", "d", "e")),
    )


def _windows_free() -> int | None:
    windows: Any = getattr(ctypes, "windll", None)  # known to type checkers on Windows alone
    if windows is None:
        return None
    said = _MemoryStatus(length=ctypes.sizeof(_MemoryStatus))
    return int(said.free) if windows.kernel32.GlobalMemoryStatusEx(ctypes.byref(said)) else None


def cpus(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Processors that this process may use: of all there are, those that it is bound to, and its container's share of them."""
    ours = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = _share(cgroup)
    return max(1, min(ours, ours if share is None else int(-(-share // 1))))


def _share(cgroup: Path) -> float | None:
    """Of cgroups, second version (cpu.max: quota and period, in microseconds) or first."""
    with contextlib.suppress(OSError, ValueError):
        quota, period = (cgroup / "cpu.max").read_text().split()
        return None if quota == "max" else float(quota) / float(period)
    with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
        quota_us = float((cgroup / "cpu" / "cpu.cfs_quota_us").read_text())
        period_us = float((cgroup / "cpu" / "cpu.cfs_period_us").read_text())
        return quota_us / period_us if quota_us > 0 else None
    return None
