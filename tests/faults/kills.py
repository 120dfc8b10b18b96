"""Which process dies where."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from storage.faults import GAPS

Who = Literal["bot", "supervisor", "child"]

DIES: dict[str, Who] = {
    "ack-download": "bot",
    "enqueue-commit": "bot",
    "post-record": "bot",
    "ballot-close": "bot",
    "upload": "bot",
    "artifact-row": "supervisor",
    "cache-write": "child",
    "step": "child",
    "checkpoint-write": "child",
    "preview": "child",
    "sweep": "child",
    "header": "child",
}
"""Who passes a gap. The supervisor's environment reaches its child, so each process only dies at gaps of its own code."""

MOST: dict[str, int] = {
    "post-record": 6,
    "artifact-row": 2,
    "cache-write": 4,
    "step": 4,
    "checkpoint-write": 2,
    "preview": 6,
    "sweep": 4,
    "header": 4,
}
"""How often a gap is passed at least in the tiny order; 1 where not named."""


@dataclass(frozen=True, kw_only=True)
class Kill:
    """One SIGKILL: at the n-th passing of a gap, or so many seconds after Start."""

    who: Who
    gap: str | None = None
    n: int = 1
    after_s: float = 0.0

    @property
    def name(self) -> str:
        """For reports and folders."""
        return f"{self.gap}-{self.n}" if self.gap else f"{self.who}-at-{self.after_s:.1f}s"


def at(gap: str, n: int = 1) -> Kill:
    """A kill at a named gap."""
    return Kill(who=DIES[gap], gap=gap, n=n)


def series(count: int, seed: int, span_s: float) -> list[Kill]:
    """Every gap once, then bot, supervisor and child in turn at random moments of an order that takes `span_s`."""
    draw = random.Random(seed)
    kills = [at(gap, draw.randint(1, MOST.get(gap, 1))) for gap in GAPS]
    return [*kills, *moments(max(0, count - len(kills)), seed, span_s)][:count]


def moments(count: int, seed: int, span_s: float) -> list[Kill]:
    """Bot, supervisor and child in turn, at random moments of the first `span_s` after Start."""
    draw = random.Random(seed)
    whose: tuple[Who, ...] = ("bot", "supervisor", "child")
    return [Kill(who=whose[n % 3], after_s=round(draw.uniform(0.0, span_s), 2)) for n in range(count)]
