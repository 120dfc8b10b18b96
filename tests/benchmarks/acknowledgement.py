"""How fast the bot answers, and how large it is, while a worker trains on the same cores.

`python -m tests.benchmarks.acknowledgement`: one member's order trains on the pocket (real bot, real worker, loopback server,
each a process); meanwhile the others keep pressing: `/queue`, `/status`, a `/train` with four pictures, Cancel on its plan card.
The peer notes when each callback arrives; an act that is not answered within Discord's three seconds ends the measurement with
an error. Last lines: `ack_p50_ms`, `ack_p95_ms`, `ack_max_ms` (to hold: 1000 at the 95th percentile) and `bot_peak_mb` (to hold:
200), from the bot's own VmHWM.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

from sqlmodel import Session, select

from bot.loopback.demo import QUICK
from bot.loopback.demo_household import Household
from bot.loopback.demo_people import People, order_of
from storage.domain.lifecycle import Stage
from storage.tables import Order

PRESSERS = ("Bruno", "Chidi", "Dalia", "Mira")
SMALL = 4
"""Pictures of an order that is only drafted."""


async def drawn(folder: Path, index: int, count: int) -> list[Path]:
    """Pictures of an unseen subject, by a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "trainer.pocket.draw", "--kind", "character", "--index", str(index)),
        *("--count", str(count), "--out", str(folder)),
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    return [Path(p) for p in json.loads(said)["files"]]


async def train(people: People, name: str, pictures: list[Path]) -> None:
    """An order up to its Start."""
    await people.train(name, pictures, {"subject": "character", "name": "Busy", "class_word": "robot"})
    await people.start(name, await people.plan(name))


async def press(people: People, name: str, pictures: list[Path], until: float) -> int:
    """One restless member; gives back how many acts were done."""
    member = await people.named(name)
    for count in itertools.count(1):
        if time.monotonic() > until:
            return count
        if count % 5:
            await member.slash("queue" if count % 2 else "status", channel=people.channel, timeout_s=30)
        else:
            await people.train(name, pictures, {"subject": "object", "name": f"{name} {count}", "class_word": "toy"})
            plan = await people.plan(name)
            await member.click(plan, "cancel:" + order_of(plan), timeout_s=30)
        await asyncio.sleep(0.5)
    return 0


def peak_mb(pid: int) -> float:
    """The largest that a process has been, from the kernel."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


async def busy_stage(house: Household, owner: str) -> str:
    """The stage of this member's order."""
    return str(await house.database.transact(_stage_of, owner))


def _stage_of(session: Session, owner_id: str) -> str | None:
    return session.exec(select(Order.stage).where(Order.owner_id == owner_id)).first()


async def measure(seconds: float, folder: Path) -> list[str]:
    """The whole measurement; gives back its last lines."""
    settings = {**QUICK, "ballot_s": "600"}
    async with AsyncExitStack() as stack:
        house = await stack.enter_async_context(Household(folder=folder, settings=settings))
        people = People(card=house.address, stack=stack)
        big = await drawn(folder / "big", 5, 8)
        small = await drawn(folder / "small", 6, SMALL)
        await house.start_bot()
        await house.start_worker()
        director = await people.director()
        await director.wait_for_bot(timeout_s=60)
        await asyncio.sleep(3)
        await train(people, "Ada", big)
        ada = str(house.address["guilds"]["Loopback"]["members"]["Ada"])
        while await busy_stage(house, ada) != Stage.TRAINING.value:  # noqa: ASYNC110  # a row in another process
            await asyncio.sleep(0.5)
        until = time.monotonic() + seconds
        acts = sum(await asyncio.gather(*(press(people, name, small, until) for name in PRESSERS)))
        stage = await busy_stage(house, ada)
        noted = sorted(a["after_ms"] for a in await director.acknowledgements())
        p95 = noted[min(len(noted) - 1, int(0.95 * len(noted)))]
        return [
            f"acts {acts}, acknowledged {len(noted)}; the order was {stage} at the end",
            f"ack_p50_ms {statistics.median(noted):.0f}",
            f"ack_p95_ms {p95:.0f}",
            f"ack_max_ms {noted[-1]:.0f}",
            f"bot_peak_mb {peak_mb(house.running['bot'].pid):.0f}",
        ]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=45.0)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="lorasmith-acknowledgement-"))
    print("\n".join(asyncio.run(measure(options.seconds, folder))))


if __name__ == "__main__":
    main()
