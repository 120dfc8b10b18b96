"""`python -m bot.loopback --ready-file PATH`: the loopback Discord as a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import stat
import sys
from pathlib import Path

from bot.loopback.founding import DEFAULT, WorldPlan
from bot.loopback.server import LoopbackServer


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bot.loopback", description="A Discord-shaped server on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=0, help="0 takes any free port")
    parser.add_argument(
        "--ready-file", type=Path, help="where to write addresses, token and ids as JSON once it listens"
    )
    parser.add_argument("--world", type=Path, help="a JSON file with the servers, channels and members to begin with")
    parser.add_argument("--state", type=Path, help="a folder that keeps messages and files over restarts")
    parser.add_argument("--real-rates", action="store_true", help="real-looking rate limits instead of generous ones")
    parser.add_argument("--stay", action="store_true", help="do not end when standard input closes")
    return parser.parse_args()


async def serve(options: argparse.Namespace) -> None:
    """Listen until SIGTERM, SIGINT, or the end of the parent (its end of the pipe to standard input closes)."""
    plan = WorldPlan.from_json(json.loads(options.world.read_text())) if options.world else DEFAULT
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: loop.call_soon_threadsafe(over.set))  # Windows' loop has no handlers of its own
    async with LoopbackServer.start(
        plan, port=options.port, real_rates=options.real_rates, state=options.state
    ) as server:
        if options.ready_file:
            _write(options.ready_file, server)
        sys.stdout.write(f"loopback Discord: {server.url}\n")
        sys.stdout.flush()
        if not options.stay:
            await _follow_parent(over)
        await over.wait()


async def _follow_parent(over: asyncio.Event) -> None:
    """Set `over` when standard input is a pipe and its other end is gone."""
    kind = os.fstat(0).st_mode
    if not (stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind)):  # a terminal, a file or /dev/null is no parent
        return

    class Ear(asyncio.Protocol):
        def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
            over.set()

        def eof_received(self) -> None:
            over.set()

    await asyncio.get_running_loop().connect_read_pipe(Ear, os.fdopen(os.dup(0), "rb"))


def _write(path: Path, server: LoopbackServer) -> None:
    """All at once and for the owner only: it holds the token."""
    fresh = path.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(server.card(), file, indent=1)
    fresh.replace(path)


if __name__ == "__main__":
    asyncio.run(serve(arguments()))
