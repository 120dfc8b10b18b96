"""`make faults KILLS=20`: every named gap once, then bot, supervisor and child at random moments; one tiny order a kill.

Prints a line a kill and ends with 1 where one of them did harm.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.builders import tiny_base
from tests.faults.calm import calm
from tests.faults.kills import Kill, at, moments, series
from tests.faults.trial import Trial
from trainer.turn import Bench

SPAN_S = 25.0
"""How long the tiny order takes from Start to delivery where nothing is known yet."""


async def run(kills: list[Kill], folder: Path) -> int:
    """Carry out the series; gives back how many trials failed."""
    base = tiny_base(folder / "base")
    failed = 0
    async with calm(folder / "calm", base, "calm") as bench:
        for number, kill in enumerate(kills, 1):
            failed += not await _one(kill, folder / f"{number}-{kill.name}", base, bench)
    return failed


async def _one(kill: Kill, folder: Path, base: Path, bench: Bench) -> bool:
    began = time.monotonic()
    trial = Trial(folder=folder, base=base, kills=[kill])
    try:
        await trial.run(bench)
    except Exception:  # noqa: BLE001  # one trial that fails does not end the series
        traceback.print_exc()
        print(f"FAILED  {kill.who:10} {kill.name}  (logs in {folder})", flush=True)
        return False
    whole = time.monotonic() - began
    print(
        f"ok      {kill.who:10} {kill.name:22} start to delivery {trial.seconds:5.1f} s, in all {whole:5.1f} s",
        flush=True,
    )
    return True


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.series", description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--gap", action="append", default=[], metavar="GAP:N", help="only these gaps")
    parser.add_argument("--random", type=int, default=0, metavar="N", help="only so many random moments")
    given = parser.parse_args()
    kills = [at(g.partition(":")[0], int(g.partition(":")[2] or 1)) for g in given.gap]
    folder = Path(tempfile.mkdtemp(prefix="lorasmith-faults-"))
    chosen = kills or moments(given.random, given.seed, SPAN_S) or series(given.kills, given.seed, SPAN_S)
    print(f"{len(chosen)} kills, seed {given.seed}, everything in {folder}", flush=True)
    failed = asyncio.run(run(chosen, folder))
    print(f"{len(chosen) - failed} of {len(chosen)} orders came out as if nothing had happened")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
