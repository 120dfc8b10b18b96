"""A worker process that takes real turns from the real queue and only writes down what it was given.

Run as `python tests/storage/small_worker.py JSON`; it ends when stdin closes or after `live_s`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from storage import leases, turns
from storage.database import Database
from storage.engine import Engine
from storage.reaper import reap
from storage.settings import StorageSettings
from storage.turns import Outcome, Taken


class SmallWorker:
    """One worker."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.told = told
        self.name = f"{told['name']}:{os.getpid()}"
        self.settings = StorageSettings(
            data_dir=Path(told["data_dir"]), database_url=told["database_url"], poll_s=0.1, lease_s=told["lease_s"]
        )
        self.database = Database(self.settings)
        self.engine = Engine(self.settings, self.database, self.name, ("gpu",))

    async def run(self) -> None:
        """Beat, reap and take turns until told to stop."""
        self.engine.handle_turn(self.turn)
        await self.beat()
        await self.engine.launch()
        closed = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
        ends = time.monotonic() + float(self.told["live_s"])
        while not closed.done() and time.monotonic() < ends:
            await self.beat()
            await reap(self.database, self.engine)
            await self.database.transact(turns.ensure_turns, self.engine, {"pocket"})
            await asyncio.sleep(self.settings.lease_s / 5)
        await self.engine.close()
        self.database.close()
        os._exit(0)  # a thread still waits for stdin

    async def beat(self) -> None:
        """Say that this worker is alive."""
        await self.database.transact(leases.beat, self.name, self.name, "worker", self.settings.lease_s)

    async def turn(self, key: str) -> None:
        """One turn: pick, write down, hold, give back."""
        taken = await self.database.transact(turns.pick, self.engine, self.name, {"pocket"}, key)
        if taken is None:
            return
        self.write("picked", taken)
        try:
            await asyncio.sleep(self.told["hold_s"])
        except asyncio.CancelledError:
            self.write("cancelled", taken)
            await self.give_back(taken, "cancelled")
            raise
        await self.give_back(taken, "done" if taken.step + 1 >= self.told["segments"] else "more")

    async def give_back(self, taken: Taken, outcome: Outcome) -> None:
        """End the turn, as measured."""
        accepted = await self.database.transact(
            turns.give_back, self.engine, taken, gpu_s=self.told["hold_s"], step=taken.step + 1, outcome=outcome
        )
        self.write("gave back" if accepted else "too late", taken)

    def write(self, what: str, taken: Taken) -> None:
        """One line, at once."""
        line = {
            "what": what,
            "piece": taken.piece_id,
            "turn": taken.turn,
            "worker": self.told["name"],
            "step": taken.step,
        }
        with Path(self.told["log"]).open("a") as file:
            file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    asyncio.run(SmallWorker(json.loads(sys.argv[1])).run())
