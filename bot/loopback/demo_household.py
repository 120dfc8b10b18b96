"""The processes of the demonstration: the loopback server, the real bot, the real worker, each with its own log file.

They know nothing of the caller's settings: what `.env` and the environment say about a real installation is kept from them.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from storage.database import Database
from storage.lifeline import tied
from storage.settings import StorageSettings

PASSED_ON = ("LORASMITH_BASE_POCKET", "LORASMITH_THREADS", "LORASMITH_DEVICE", "LORASMITH_GPU")
"""Settings of ours that the demonstration lets through."""
STOP_S = 20.0
ROOT = Path(__file__).parents[2]


class Ended(RuntimeError):
    """One of the processes ended although it should not have."""


@dataclass(kw_only=True)
class Household:
    """Starts and stops the three. Everything they write is under `folder`."""

    folder: Path
    settings: Mapping[str, str]
    """`LORASMITH_...` variables of bot and worker, without that prefix."""
    address: Mapping[str, Any] = field(default_factory=dict)
    """The loopback's ready file: addresses, token, ids of channels and members."""
    running: dict[str, Process] = field(default_factory=dict)
    web: str = ""
    """Where the bot's web pages are."""
    _database: Database | None = None

    async def __aenter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        await self._start_loopback()
        port = _free_port()
        self.web = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(self.stop(name) for name in ("worker", "bot")))
        await self.stop("loopback")
        if self._database is not None:
            await asyncio.to_thread(self._database.close)

    @property
    def database(self) -> Database:
        """A look into the rows that bot and worker write."""
        if self._database is None:
            values: dict[str, Any] = {"data_dir": self.data}
            self._database = Database(StorageSettings(**values, _env_file=None))
        return self._database

    @property
    def data(self) -> Path:
        """The data folder of bot and worker."""
        return (self.folder / "data").resolve()

    async def start_bot(self) -> None:
        """Start the bot, for the first time or again."""
        await self._start("bot", "bot")

    async def start_worker(self) -> None:
        """Start the worker; it waits until the bot has prepared the database."""
        await self._start("worker", "trainer.worker")

    async def stop(self, name: str) -> None:
        """Ask a process to stop, as an operator would; after a while it is made to."""
        process = self.running.pop(name, None)
        if process is None or process.returncode is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()

    def check(self) -> None:
        """Raise `Ended` where a process is gone, with the last lines that it wrote."""
        for name, process in self.running.items():
            if process.returncode is not None:
                raise Ended(f"the {name} ended with {process.returncode}:\n{self.last_words(name)}")

    def last_words(self, name: str, lines: int = 15) -> str:
        """The end of a process's log."""
        log = self.folder / f"{name}.log"
        return "\n".join(log.read_text("utf-8", "replace").splitlines()[-lines:]) if log.exists() else ""

    async def _start_loopback(self) -> None:
        ready = self.folder / "loopback.json"
        ready.unlink(missing_ok=True)
        await self._start("loopback", "bot.loopback", "--ready-file", str(ready.resolve()))
        async with asyncio.timeout(30):
            while not ready.exists():
                self.check()
                await asyncio.sleep(0.05)
        self.address = json.loads(ready.read_text())

    async def _start(self, name: str, module: str, *arguments: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = await asyncio.create_subprocess_exec(
                *tied((sys.executable, "-m", module, *arguments), ends_by=signal.SIGTERM),
                stdin=PIPE, stdout=log, stderr=log, env=self._environment(), cwd=self.folder,
            )  # fmt: skip

    def _environment(self) -> dict[str, str]:
        ours = ("LORASMITH_", "DISCORD_TOKEN")
        outer = {k: v for k, v in os.environ.items() if not k.startswith(ours) or k in PASSED_ON}
        path = os.pathsep.join(p for p in (str(ROOT), outer.get("PYTHONPATH", "")) if p)
        chosen = {f"LORASMITH_{k.upper()}": v for k, v in self.settings.items()}
        here = {
            "LORASMITH_DATA_DIR": str(self.data),
            "LORASMITH_DISCORD_URL": str(self.address.get("page", "")),
            "LORASMITH_TOKEN": str(self.address.get("token", "")),
            "LORASMITH_PUBLIC_URL": self.web,
            "LORASMITH_WEB_PORT": self.web.rpartition(":")[2],
        }
        return {**outer, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1", **here, **chosen}


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
