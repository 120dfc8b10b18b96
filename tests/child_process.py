"""The GPU child as a process, started and spoken to as the supervisor does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trainer.events import EVENT

ROOT = Path(__file__).parents[1]


class ChildProcess:
    """One `python -m trainer.gpu`; `log` keeps what it says beside its events."""

    def __init__(self, lock: Path, log: Path | None = None, **environment: str) -> None:
        error = log.open("ab") if log else subprocess.DEVNULL
        self.process = subprocess.Popen(
            [sys.executable, "-m", "trainer.gpu"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=error,
            env={**os.environ, "LORASMITH_GPU_LOCK": str(lock), **environment},
            cwd=ROOT,
        )
        if not isinstance(error, int):
            error.close()

    def say(self, line: str) -> None:
        """One command."""
        assert self.process.stdin
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def hear(self, *kinds: type) -> list[Any]:
        """All events up to and including the first of these kinds; every line has to be an event."""
        assert self.process.stdout
        heard = []
        while line := self.process.stdout.readline():
            heard.append(EVENT.validate_json(line))
            if isinstance(heard[-1], kinds):
                return heard
        raise AssertionError(f"the child ended before {' or '.join(k.__name__ for k in kinds)}: {heard}")

    def close(self) -> None:
        """Kills it, wherever it is."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()


@contextmanager
def child_process(lock: Path, log: Path | None = None, **environment: str) -> Iterator[ChildProcess]:
    """One child, gone at the end."""
    child = ChildProcess(lock, log, **environment)
    try:
        yield child
    finally:
        child.close()
