"""The GPU child as the supervisor holds it: started by name, spoken to in lines, never believed without a look.

The child is a session of its own so that everything it starts can be killed with it; it dies with the supervisor
(`storage/lifeline.py`). Its environment is an allow-list: no token and no database address reaches it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from storage.domain.errors import LorasmithError
from storage.lifeline import tied
from storage.system import KILL, kill_group
from trainer.events import EVENT, GPU_HELD, MAX_LINE_BYTES, Command, Event, Ready

log = logging.getLogger(__name__)

STDERR_KEPT_BYTES = 16 * 1024
QUIT_S = 5.0

PASSED = frozenset({"PATH", "HOME", "USER", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV"})
PASSED_PREFIXES = (
    *("LC_", "PYTHON", "CUDA", "NVIDIA_", "TORCH", "PYTORCH_", "HF_", "XDG_", "SSL_"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "LORASMITH_FAULT"),
)
"""What the child may know of the environment. HF_ is there because gated bases are read with the operator's own right."""


class ChildLost(LorasmithError):
    """The GPU child ended, or said something that is not an event."""

    def __init__(self, reason: str, *, returncode: int | None = None, stderr: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.returncode = returncode
        self.stderr = stderr

    @property
    def told(self) -> str:
        """What people read who know nothing of children; the log has the rest."""
        if self.returncode == -KILL:
            return "the system ended the program that trains, as it does where memory runs out (SIGKILL)"
        if self.returncode is not None and self.returncode < 0:
            return f"the program that trains broke off ({signal.Signals(-self.returncode).name})"
        return "the program that trains broke off or gave no sign of life"


class NeverReady(ChildLost):
    """The GPU child was never there to work. The machine is the reason, whatever order would have come next."""


@dataclass(frozen=True, kw_only=True)
class Launch:
    """How the child is started."""

    program: Sequence[str] = (sys.executable, "-m", "trainer.gpu")
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    threads: int = 1
    nice: int = 0
    """By how much others on this machine go first."""
    lock: Path | None = None
    """The file that the child locks while it lives: one child a GPU, also across supervisors."""
    startup_s: float = 300.0
    """Importing torch on a slow disk takes minutes, not hours."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to what is passed on."""


def environment_for(launch: Launch, outer: Mapping[str, str]) -> dict[str, str]:
    """The child's whole environment."""
    passed = {k: v for k, v in outer.items() if k in PASSED or k.startswith(PASSED_PREFIXES)}
    threads = str(launch.threads)
    return {
        **passed,
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        # Threads that wait by spinning stand still for minutes where others use the same cores: the bot, another worker.
        "OMP_WAIT_POLICY": "PASSIVE",
        "TOKENIZERS_PARALLELISM": "false",
        # glibc gave every large tensor back to the system at once: a third of the CPU time was spent there.
        "MALLOC_MMAP_MAX_": "0",
        "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
        "PYTHONUNBUFFERED": "1",
        # What Metal lacks is computed on the processor instead of ending the training.
        "PYTORCH_ENABLE_MPS_FALLBACK": "1",
        "LORASMITH_CHILD_DEVICE": launch.device,
        **({"LORASMITH_GPU_LOCK": str(launch.lock)} if launch.lock else {}),
        **launch.environment,
    }


class Child:
    """One live GPU child. Made by `start`; used by one turn at a time, on one event loop."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._stderr = bytearray()
        self._pump = asyncio.create_task(self._keep_stderr())
        self.ready: Ready | None = None

    @classmethod
    async def start(cls, launch: Launch) -> Child:
        """A child that has said it is ready. Raises `NeverReady` where it ends, babbles or stays silent instead."""
        process = await asyncio.create_subprocess_exec(
            *tied(launch.program, ends_by=KILL, nice=launch.nice),
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            limit=MAX_LINE_BYTES,
            env=environment_for(launch, os.environ),
            start_new_session=True,
        )
        child = cls(process)
        try:
            child.ready = await child._first_word(launch.startup_s)
        except ChildLost as lost:
            await child.kill()
            raise NeverReady(_why(lost, launch), returncode=lost.returncode, stderr=lost.stderr) from lost
        except BaseException:
            await child.kill()
            raise
        return child

    async def _first_word(self, startup_s: float) -> Ready:
        event = await self.hear(startup_s)
        if not isinstance(event, Ready):
            said = "nothing" if event is None else repr(event.event)
            raise ChildLost(f"the GPU child said {said} instead of being ready", stderr=self.stderr)
        return event

    @property
    def pid(self) -> int:
        """Of the child, and of its session."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it has not ended, as far as is known."""
        return self._process.returncode is None

    @property
    def stderr(self) -> str:
        """The last of what it wrote beside its events."""
        return self._stderr.decode("utf-8", "replace")

    async def send(self, command: Command) -> None:
        """Give a command. Raises `ChildLost` where nobody reads it any more."""
        if self._process.stdin is None:
            raise ChildLost("the GPU child has no ears")
        try:
            self._process.stdin.write(command.model_dump_json().encode() + b"\n")
            await self._process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError) as error:
            raise await self._lost("the GPU child closed its ears") from error

    async def hear(self, patience_s: float) -> Event | None:
        """The next event; None where none came within `patience_s` though the child lives. Raises `ChildLost`."""
        if self._process.stdout is None:
            raise ChildLost("the GPU child has no mouth")
        try:
            async with asyncio.timeout(patience_s):
                line = await self._process.stdout.readline()
        except TimeoutError:
            return None
        except ValueError as error:
            raise await self._lost(f"the GPU child wrote a line of more than {MAX_LINE_BYTES} bytes") from error
        if not line.endswith(b"\n"):
            raise await self._lost("the GPU child ended")
        try:
            return EVENT.validate_json(line)
        except ValidationError as error:
            log.warning("not an event: %.300r", line)
            raise await self._lost("the GPU child said something that is not an event") from error

    async def _lost(self, reason: str) -> ChildLost:
        await self.kill()
        code = self._process.returncode
        if code is not None and code < 0 and reason.endswith("ended"):
            reason = f"{reason} by {signal.Signals(-code).name}"
        return ChildLost(reason, returncode=code, stderr=self.stderr)

    async def kill(self) -> None:
        """End it and all it started, now. Safe to call twice."""
        if self.alive:  # a pid that was waited for may be somebody else's by now
            with contextlib.suppress(ProcessLookupError, PermissionError):
                kill_group(self.pid)
        await self._over()

    async def quit(self) -> None:
        """Close its ears, which ends it, and wait a little; then kill."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(QUIT_S):
                await self._process.wait()
        await self.kill()

    async def _over(self) -> None:
        await self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        await asyncio.wait([self._pump], timeout=QUIT_S)
        self._pump.cancel()

    async def _keep_stderr(self) -> None:
        if self._process.stderr is None:
            return
        while chunk := await self._process.stderr.read(4096):
            self._stderr += chunk
            del self._stderr[:-STDERR_KEPT_BYTES]


def _why(lost: ChildLost, launch: Launch) -> str:
    """One sentence for the operator."""
    if lost.returncode == GPU_HELD:
        return f"another program of lorasmith holds the GPU and did not let go of it in time (its lock: {launch.lock})"
    last = lost.stderr.strip().rpartition("\n")[2].strip()
    return f"the GPU child cannot be started: {lost.reason}" + (f"; it wrote: {last[:300]}" if last else "")
