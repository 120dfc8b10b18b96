"""`lorasmith demo`: the main job as it happens, on this machine, with nothing faked but Discord itself.

The real bot talks to the loopback server, the real worker trains, members press, react and download (`demo_trip`).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from bot.loopback.demo_household import Ended, Household
from bot.loopback.demo_people import NotSeen, People
from bot.loopback.demo_screen import Screen
from bot.loopback.demo_trip import OrderFailed, Trip
from storage import words
from storage.artifacts import Artifacts
from storage.domain.orders import SubjectType
from storage.options import Options
from storage.result import result_of
from storage.settings import StorageSettings
from storage.system import on_signals
from storage.view import OrderView, view_of

SAYS = (
    "Show a whole order on this machine, as it happens, with nothing faked but Discord: members send pictures, a LoRA is trained "
    "on the pocket, they vote, the chosen file is handed over. No token, no GPU, no download; a few minutes."
)
QUICK = {"status_s": "3", "look_s": "0.4", "recount_s": "0.5", "poll_s": "0.2", "beat_s": "2", "lease_s": "12"}
"""A demonstration does not wait as long as a server of people."""


async def result_in(house: Household, order_id: str) -> tuple[OrderView, dict[str, Any]]:
    """`result.json` and what is in it."""
    out = house.folder
    values: dict[str, Any] = {"data_dir": house.data}
    store = Artifacts(StorageSettings(**values, _env_file=None))
    view = await view_of(house.database, store, order_id)
    result = result_of(view, _files_in(out))
    (out / "result.json").write_text(json.dumps(result, indent=1, default=str) + "\n", "utf-8")
    return view, result


def _files_in(out: Path) -> dict[str, str]:
    """Paths of what was downloaded, by role."""
    found = {"page": str(out / "page.html"), "grids": str(out / "grids")}
    for path in sorted(out.iterdir()):
        if path.suffix == ".safetensors":
            found["compact" if path.stem.endswith("-compact") else "lora"] = str(path)
        elif path.suffix == ".png":
            found["strip" if path.stem.endswith("-scales") else "preview"] = str(path)
        elif path.suffix == ".json" and path.name not in ("result.json", "loopback.json"):
            found["sidecar"] = str(path)
    return found


def summary(view: OrderView, result: dict[str, Any]) -> list[tuple[str, str]]:
    """The end of the trip in a few lines."""
    votes = ", ".join(f"step {c.step}: {c.votes}" for c in view.checkpoints)
    seconds = ", ".join(f"{name} {value:.0f}" for name, value in view.seconds.items())
    rows = [
        ("chosen", f"step {view.choice.step}. {words.because_sentence(view.choice)}" if view.choice else "nothing"),
        ("votes", votes),
        ("scale", words.scale_sentence(view.scale) if view.scale else "not measured"),
        ("trigger", view.trigger),
        ("seconds", seconds),
    ]
    return rows + [(role, str(path)) for role, path in result["files"].items()]


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = Options("demo", SAYS)
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="a folder of 4 to 30 pictures; without it eight are drawn"
    )
    parser.add_argument(
        "--subject",
        choices=[s.value for s in SubjectType],
        default="character",
        help="what the pictures show [character]",
    )
    parser.add_argument("--class-word", default="", metavar="WORD", help="one plain word for what the pictures show")
    parser.add_argument("--name", default="Demo", help="what the LoRA is called [Demo]")
    parser.add_argument("--index", type=int, default=3, metavar="N", help="another drawn subject, from 0 [3]")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="a new or empty folder for everything; without it one in the temporary folder",
    )
    parser.add_argument("--serve", action="store_true", help="keep the chat page open at the end, until Ctrl-C")
    parser.add_argument(
        "--ballot-s", type=float, default=1800, metavar="SECONDS", help="how long ballots stay open [1800]"
    )
    parser.add_argument("--steps", type=int, metavar="N", help="train so many steps instead of what the recipe says")
    chosen = parser.parse_args(given)
    if chosen.out is not None and chosen.out.exists() and (not chosen.out.is_dir() or any(chosen.out.iterdir())):
        parser.error(f"{chosen.out} is there already and not empty: every demonstration needs a new folder")
    return chosen


async def run(options: argparse.Namespace) -> int:
    """The demonstration from start to end; gives back the exit code."""
    out = options.out or Path(tempfile.mkdtemp(prefix="lorasmith-demo-"))
    steps = {"steps": str(options.steps)} if options.steps else {}
    house = Household(folder=out.resolve(), settings={**QUICK, "ballot_s": str(options.ballot_s), **steps})
    screen = Screen()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(house)
        people = People(card=house.address, stack=stack)
        trip = Trip(options=options, house=house, people=people, screen=screen)
        try:
            with screen:
                await trip.make()
            view, result = await result_in(house, trip.order_id)
        except (Ended, OrderFailed, NotSeen) as error:
            screen.say("demo", f"went wrong: {error}")
            screen.say("demo", f"the logs of bot, worker and loopback are in {out}")
            return 1
        screen.summary("The trip is over", summary(view, result))
        if options.serve:
            await _serve(house, screen)
    return 0


async def _serve(house: Household, screen: Screen) -> None:
    """Bot, worker and chat page stay until Ctrl-C."""
    screen.say("demo", f"the chat page is open at {house.address['page']} - run /train there; Ctrl-C ends it")
    over = asyncio.Event()
    on_signals((signal.SIGINT, signal.SIGTERM), over.set)
    while not over.is_set():
        house.check()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), 1)


def main() -> int:
    """The command."""
    try:
        return asyncio.run(run(arguments()))
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
