# ruff: noqa: T201  # it talks to the operator's terminal
"""`lorasmith up`: the bot and one worker on this machine, each a process of its own, started, watched and stopped together.

A process that ends by itself is started again, less and less eagerly; one that keeps ending, or says that the set-up is wrong
(exit code 2), takes the other one down with it. A first Ctrl-C or SIGTERM lets both end in good order (the worker finishes its
step and saves), a second one ends them at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Mapping, Sequence

from pydantic import AliasChoices, Field, SecretStr, ValidationError

from storage.lifeline import tied
from storage.options import Options
from storage.settings import StorageSettings, wrong_settings
from storage.system import on_signals

WRONG_SETUP = 2
MOST_STARTS = 5
"""A process that ended so often within `WINDOW_S` is not started again."""
WINDOW_S = 600.0
PROGRAMS = {
    "bot": (sys.executable, "-m", "storage.command", "bot"),
    "worker": (sys.executable, "-m", "storage.command", "worker"),
}
SAYS = (
    "Run the bot and one worker on this machine, started, watched and stopped together. Ctrl-C lets both end in good order, "
    "a second one ends them at once. `lorasmith bot --help` and `lorasmith worker --help` list what else can be set."
)
POCKET_WARNING = (
    "This runs on the pocket: a tiny model of drawn 64-pixel scenes that shows how everything works. Its LoRAs are a\n"
    "demonstration, not for use. For real ones, fetch Stable Diffusion XL once (about 7 GB in fp16):\n"
    "    lorasmith fetch sdxl\n"
    "then write LORASMITH_BASE=sdxl into .env and start again.\n"
)


class UpSettings(StorageSettings):
    """What `up` itself looks at; the bot and the worker read their own."""

    base: str = "pocket"
    """The base model that orders train on."""
    bases: str | None = None
    """Base models that the worker trains on, separated by commas; not set: that of orders, and the pocket."""
    token: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("LORASMITH_TOKEN", "DISCORD_TOKEN", "token")
    )
    """The bot's token, from Discord's developer portal. Needed."""


class Up:
    """Keeps the programs running until told to stop or until one of them ends for good."""

    def __init__(self, programs: Mapping[str, Sequence[str]], *, pause_s: float = 1.0) -> None:
        self.programs = programs
        self._pause_s = pause_s
        self._running: dict[str, Process] = {}
        self._stop = asyncio.Event()
        self._signals = 0

    async def run(self) -> int:
        """0 when told to stop, else the exit code of the process that ended for good."""
        on_signals((signal.SIGINT, signal.SIGTERM), self._told)
        keepers = [asyncio.create_task(self._keep(name)) for name in self.programs]
        codes = await asyncio.gather(*keepers)
        return max(codes)

    async def _keep(self, name: str) -> int:
        """Start it, again if need be, until it is to stop; gives back the exit code that matters."""
        ends: list[float] = []
        while not self._stop.is_set():
            code = await self._once(name)
            if self._stop.is_set():
                return 0
            ends = [at for at in ends if at > time.monotonic() - WINDOW_S] + [time.monotonic()]
            if code in (0, WRONG_SETUP) or len(ends) >= MOST_STARTS:
                _say(f"the {name} {_words(code)} and is not started again; stopping everything.")
                self._end_all()
                return code if code > 0 else int(code != 0)
            pause_s = self._pause_s * 2 ** (len(ends) - 1)
            _say(f"the {name} {_words(code)}; starting it again in {pause_s:g} s.")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._stop.wait()
        return 0

    async def _once(self, name: str) -> int:
        process = await asyncio.create_subprocess_exec(
            *tied(
                self.programs[name], ends_by=signal.SIGTERM
            ),  # if this one is killed, the others do not run on unseen
            start_new_session=True,  # Ctrl-C reaches this process alone, which passes it on once
        )
        self._running[name] = process
        _say(f"the {name} is up (process {process.pid}).")
        if self._stop.is_set():  # told to stop while it was being started
            process.terminate()
        code = await process.wait()
        del self._running[name]
        return code

    def _told(self) -> None:
        self._signals += 1
        if self._signals == 1:
            _say("stopping in good order; press Ctrl-C again to stop at once.")
            self._end_all()
            return
        _say("stopping at once.")
        for process in self._running.values():
            with contextlib.suppress(ProcessLookupError):
                process.kill()

    def _end_all(self) -> None:
        self._stop.set()
        for process in self._running.values():
            with contextlib.suppress(ProcessLookupError):
                process.terminate()


def _words(code: int) -> str:
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return "ended" if code == 0 else f"ended with exit code {code}"


def _say(text: str) -> None:
    print(f"lorasmith: {text}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Check what can be checked before anything starts, then run both."""
    Options("up", SAYS, settings=UpSettings).parse_args(arguments)
    try:
        settings = UpSettings()
    except ValidationError as error:
        print("\n".join(wrong_settings(error)), file=sys.stderr)
        return WRONG_SETUP
    if settings.token is None or not settings.token.get_secret_value():
        _say(
            "there is no bot token. Put it in .env as LORASMITH_TOKEN=..., or look at `lorasmith demo`, which needs none."
        )
        return WRONG_SETUP
    if settings.base == "pocket":
        print(POCKET_WARNING, file=sys.stderr, flush=True)
    if settings.bases is None:
        os.environ["LORASMITH_BASES"] = _bases(settings.base)
    return asyncio.run(Up(PROGRAMS).run())


def _bases(base: str) -> str:
    """What the worker serves unless told otherwise: what the bot takes orders for, and the pocket."""
    return base if base == "pocket" else f"{base},pocket"


if __name__ == "__main__":
    sys.exit(main())
