"""When the graphics card is this worker's: by the clock, and while no other program wants it. Looked at between turns.

A turn that runs goes on to its next checkpoint; then the child leaves the card, and orders wait where they are in line.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time

LOOK_S = 3
"""The driver's answer comes within tenths of a second; one that hangs is not waited for."""
_SPAN = re.compile(r"(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})")


@dataclass(frozen=True, kw_only=True)
class Span:
    """A part of the day, by this machine's own clock; one that begins after it ends goes over midnight."""

    since: time
    until: time

    def holds(self, at: time) -> bool:
        """Whether this time is in it."""
        if self.since < self.until:
            return self.since <= at < self.until
        return at >= self.since or at < self.until


def spans(text: str) -> tuple[Span, ...]:
    """Of `22:00-08:00`, or several of that kind with commas between. Raises `ValueError`."""
    found = []
    for part in filter(None, (p.strip() for p in text.split(","))):
        match = _SPAN.fullmatch(part)
        if match is None:
            raise ValueError(f"{part} is no part of a day; write 22:00-08:00, several with commas between")
        a, b, c, d = map(int, match.groups())
        span = Span(since=time(a, b), until=time(c % 24, d))
        if span.since == span.until:
            raise ValueError(f"{part} begins when it ends; leave the setting out for the whole day")
        found.append(span)
    return tuple(found)


def closed_by_clock(hours: Sequence[Span], at: datetime) -> str:
    """Why no turn is taken now, in words; empty where one may be."""
    if not hours or any(span.holds(at.time()) for span in hours):
        return ""
    waits = min((_minutes(at.time(), span.since), span.since) for span in hours)
    return f"the graphics card is for others until {waits[1]:%H:%M} (LORASMITH_GPU_HOURS)"


def _minutes(at: time, then: time) -> int:
    return (then.hour * 60 + then.minute - at.hour * 60 - at.minute) % (24 * 60)


def closed_by_others(others_mib: float | None, most_mib: float | None) -> str:
    """The same where other programs hold more of the card's memory than the operator lets pass; None was not measured."""
    if most_mib is None or others_mib is None or others_mib <= most_mib:
        return ""
    return f"another program holds {others_mib:.0f} MiB of the graphics card (LORASMITH_GIVE_WAY_MIB)"


def others_mib(gpu: str, ours: int | None) -> float | None:
    """MiB of a card's memory that other programs hold; `ours` is the process of our child, where one sits there.

    By nvidia-smi; None where there is none or it has no number. Games are in it: they are no compute processes, but their memory
    is used. Inside of a container the driver may not say which process is ours: then nothing is said while our child is there.
    """
    used = _asked(["--query-gpu=memory.used"], gpu)
    if not used or (used_mib := _number(used[0])) is None:
        return None
    held = dict(map(_row, _asked(["--query-compute-apps=pid,used_memory"], gpu)))
    return of_others(used_mib, held, ours)


def of_others(used_mib: float, held_mib: Mapping[int, float | None], ours: int | None) -> float | None:
    """All that is used, less what our process holds."""
    if ours is None:
        return used_mib
    mine = held_mib.get(ours)
    return None if mine is None else max(0.0, used_mib - mine)


def _row(line: str) -> tuple[int, float | None]:
    """`1234, 567`; drivers in containers and on Windows write [N/A] for either."""
    pid, _, mib = (part.strip() for part in line.partition(","))
    return int(pid) if pid.isdecimal() else -1, _number(mib)


def _number(text: str) -> float | None:
    return float(text) if text.strip().replace(".", "", 1).isdecimal() else None


def _asked(what: Sequence[str], gpu: str) -> list[str]:
    asked = ["nvidia-smi", f"--id={gpu}", *what, "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(asked, capture_output=True, text=True, timeout=LOOK_S, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [line for line in said.splitlines() if line.strip()]
