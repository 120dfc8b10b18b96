"""Named gaps where tests kill a process: between doing a thing and writing it down.

Without `LORASMITH_FAULT` a gap costs one dictionary look-up and does nothing. With `LORASMITH_FAULT="<gap>:<n>"` the process
touches `$LORASMITH_FAULT_MARK` (so that the test can prove that it hit the gap) and kills itself the n-th time it passes.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Literal, get_args

from storage.system import KILL

Gap = Literal[
    "ack-download",
    "enqueue-commit",
    "cache-write",
    "step",
    "checkpoint-write",
    "artifact-row",
    "preview",
    "post-record",
    "ballot-close",
    "sweep",
    "header",
    "upload",
]
GAPS: tuple[str, ...] = get_args(Gap)

_passed: dict[str, int] = {}
_lock = threading.Lock()


def gap(name: Gap) -> None:
    """Die here if the environment says so."""
    wanted = os.environ.get("LORASMITH_FAULT")
    if wanted is None:
        return
    where, _, turn = wanted.partition(":")
    if where not in GAPS or not turn.isdigit():
        raise ValueError(f"LORASMITH_FAULT is <gap>:<n>, not {wanted}")
    if where != name:
        return
    with _lock:
        _passed[name] = _passed.get(name, 0) + 1
        if _passed[name] == int(turn):
            _die()


def _die() -> None:
    mark = os.environ.get("LORASMITH_FAULT_MARK")
    if mark:
        if Path(mark).exists():  # one kill a mark: the restarted process lives
            return
        Path(mark).touch()
    os.kill(os.getpid(), KILL)
