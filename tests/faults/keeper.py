"""What keeps the processes of an installation running, as an operator's system does: whoever dies is started again."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from bot.loopback.demo_household import Household
from tests.faults.kills import Kill

LOOK_S = 0.1
PROCESS = {"bot": "bot", "supervisor": "worker", "child": "worker"}
"""The process that is started with a fault in its environment."""


@dataclass(kw_only=True)
class Keeper:
    """Starts bot and worker with the faults that are in store for them, and again after each death."""

    house: Household
    faults: dict[str, list[Kill]] = field(default_factory=dict)
    """By process, in the order in which it meets them."""
    marks: dict[str, Path] = field(default_factory=dict)
    """By name of the kill: the file that says that it happened."""
    deaths: list[str] = field(default_factory=list)
    kept: set[str] = field(default_factory=set)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def start(self, process: str) -> None:
        """Start `bot` or `worker`, with the next fault that is in store for it, and keep it running from now on."""
        async with self._turn:
            plain = {k: v for k, v in self.house.settings.items() if not k.startswith("fault")}
            self.house.settings = {**plain, **self._next_fault(process)}
            await (self.house.start_bot() if process == "bot" else self.house.start_worker())
            self.kept.add(process)

    def _next_fault(self, process: str) -> dict[str, str]:
        waiting = self.faults.get(process, [])
        if not waiting:
            return {}
        kill = waiting.pop(0)
        mark = self.marks[kill.name] = self.house.folder / f"hit-{kill.name}"
        return {"fault": f"{kill.gap}:{kill.n}", "fault_mark": str(mark)}

    async def keep(self) -> None:
        """Start again whoever died; runs until cancelled."""
        while True:
            for process in sorted(self.kept):
                running = self.house.running.get(process)
                if running is not None and running.returncode is not None:
                    self.deaths.append(f"{process} {running.returncode}")
                    await asyncio.sleep(LOOK_S)
                    await self.start(process)
            await asyncio.sleep(LOOK_S)

    async def kill(self, kill: Kill) -> bool:
        """SIGKILL now; whether there was somebody to kill."""
        process = self.house.running.get(PROCESS[kill.who])
        pid = self._child() if kill.who == "child" else process.pid if process and process.returncode is None else None
        if pid is None:
            return False
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            return True
        return False

    def _child(self) -> int | None:
        """The GPU child that lives now: a child of the worker that leads a session of its own."""
        worker = self.house.running.get("worker")
        if worker is None or worker.returncode is not None:
            return None
        with suppress(OSError):
            for task in Path(f"/proc/{worker.pid}/task").iterdir():
                for pid in (task / "children").read_text().split():
                    if re.search(rb"trainer\.gpu", Path(f"/proc/{pid}/cmdline").read_bytes()):
                        return int(pid)
        return None
