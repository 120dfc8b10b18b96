"""`make bench-fairness`: 50 communities of unequal greed, 10,000 orders, three workers, on the product's own queue.

What is held against what is derived in `tests/benchmarks/shares.py`; `tests/benchmarks/crowds.py` says what is real.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from storage.database import Database, migrate
from storage.settings import StorageSettings
from tests.benchmarks.crowds import Crowd, Day, unequal
from tests.benchmarks.shares import Fairness, Numbers, measure


def weights_of(crowds: Sequence[Crowd]) -> Numbers:
    """As an array."""
    return np.array([crowd.weight for crowd in crowds])


LEARNED_AFTER = 100
"""Fairness is measured after so many turns: until then the queue does not know yet how long turns take here, and d, the largest
error of an estimate, would say nothing else."""


def trial(
    database: Database,
    crowds: Sequence[Crowd],
    *,
    orders: int,
    workers: int,
    learned_after: int = LEARNED_AFTER,
    tell: Callable[[Day], None] | None = None,
) -> tuple[Day, Fairness]:
    """A whole day on a fresh database."""
    day = Day(database=database, crowds=crowds, orders=orders, workers=workers, tell=tell)
    day.run()
    return day, fairness_of(day, learned_after)


def fairness_of(day: Day, learned_after: int = LEARNED_AFTER) -> Fairness:
    """Of what was given so far."""
    return measure(day.picks[learned_after:], weights_of(day.crowds), day.workers)


def first_waits(day: Day) -> tuple[Numbers, Numbers]:
    """Of the orders of quiet communities: seconds until the first turn, and turns that were given to others meanwhile."""
    quiet = [(began - since, between) for c, since, began, between in day.starts if day.crowds[c].quiet]
    return np.array([q[0] for q in quiet]), np.array([q[1] for q in quiet])


def report(day: Day, fair: Fairness) -> list[str]:
    """The figures, in lines; the last ones say whether the bounds were kept."""
    ended = ", ".join(f"{count} {how}" for how, count in sorted(day.ended.items()))
    return [
        f"orders {sum(day.ended.values())}: {ended}; starts that a member's quota refused: {day.refused}",
        (
            f"turns {len(day.picks)} on {day.workers} workers, {fair.served_s.sum() / 3600:.0f} GPU hours; longest turn "
            f"l = {fair.bounds.longest_s:.0f} s, largest error of an estimate d = {fair.bounds.off_s:.0f} s"
        ),
        *_shares(day, fair),
        *_quiet(day, fair),
    ]


def _shares(day: Day, fair: Fairness) -> list[str]:
    weights, bounds = weights_of(day.crowds), fair.bounds
    always = fair.waited > 0.9
    got = (fair.served_s / weights)[always]
    pair = (fair.apart_s / bounds.pairs(weights)).max()
    alone = (fair.apart_s / (bounds.longest_s * (1 / weights[:, None] + 1 / weights[None, :]))).max()
    behind = (fair.behind_s / bounds.behind(weights)).max()
    extra_h = (fair.behind_s / (day.workers * weights / weights.sum())).max() / 3600
    apart = f"{got.min() / got.mean():.3f} to {got.max() / got.mean():.3f}" if always.any() else "(none)"
    return [
        f"the {int(always.sum())} communities that waited at nine of ten turns got, by their weights, {apart} of their mean",
        (
            f"two that both wait: at most {fair.apart_s.max():.0f} s apart over their weights; "
            f"{pair:.0%} of the bound (2l + 2Kd)(1/wi + 1/wj), {alone:.0%} of that of one worker, l (1/wi + 1/wj)"
        ),
        (
            f"behind one's share while waiting: at most {fair.behind_s.max():.0f} GPU s, {extra_h:.2f} h more waiting than it "
            f"alone makes; {behind:.0%} of the bound (2l + 2Kd)(1 + N wi/W)"
        ),
        f"bounds kept: {'yes' if max(pair, behind) <= 1 else 'NO'}",
    ]


def _quiet(day: Day, fair: Fairness) -> list[str]:
    waits, between = first_waits(day)
    if not len(waits):
        return []
    longest_s = fair.bounds.longest_s
    return [
        (
            f"first turn of {len(waits)} orders of quiet communities: after {np.median(waits):.0f} s in the middle, "
            f"{np.quantile(waits, 0.95):.0f} s at 95 %, {waits.max():.0f} s at most; "
            f"others were given a turn before it {np.mean(between > 0):.1%} of the time"
        ),
        f"quiet communities' orders that began within one segment ({longest_s:.0f} s): {np.mean(waits <= longest_s):.2%}",
    ]


def _so_far(day: Day) -> None:
    print("\n".join(("so far:", *report(day, fairness_of(day)), "")), flush=True)


def main() -> int:
    """Exit code 1 where a bound is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=10_000)
    parser.add_argument("--communities", type=int, default=50)
    parser.add_argument("--workers", type=int, default=3)
    given = parser.parse_args()
    memory = Path("/dev/shm")  # noqa: S108  # a disk that forgets: nothing of a trial has to survive a power cut
    folder = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
    began = time.monotonic()
    try:
        settings = StorageSettings(data_dir=folder)
        migrate(settings)
        database = Database(settings)
        crowds = unequal(given.communities)
        day, fair = trial(database, crowds, orders=given.orders, workers=given.workers, tell=_so_far)
        database.close()
    finally:
        shutil.rmtree(folder)
    lines = report(day, fair)
    print(
        f"{given.communities} communities, {given.orders} orders, in {time.monotonic() - began:.0f} s of this machine"
    )
    print("\n".join(lines))
    return int("bounds kept: NO" in lines)


if __name__ == "__main__":
    sys.exit(main())
