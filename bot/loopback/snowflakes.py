"""Ids and time of the loopback world.

A snowflake is `milliseconds since 2015-01-01 << 22 | counter`, as Discord documents it
(https://discord.com/developers/docs/reference#snowflakes), so a client can read a message's age from its id.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

EPOCH_MS = 1_420_070_400_000


@dataclass(kw_only=True)
class Clock:
    """The real clock plus an offset, so that a test can let fifteen minutes pass in no time."""

    offset_s: float = 0.0

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time() + self.offset_s

    def advance(self, seconds: float) -> None:
        """Move the world's time forward; tokens, links and nonces age by it."""
        self.offset_s += seconds


@dataclass(kw_only=True)
class Snowflakes:
    """Hands out ids that always grow, even within one millisecond."""

    clock: Clock
    last: int = 0

    def new(self) -> int:
        """The next id; its upper bits are the clock's time."""
        fresh = (int(self.clock.now() * 1000) - EPOCH_MS) << 22
        self.last = max(self.last + 1, fresh)
        return self.last


def created_at(snowflake: int) -> float:
    """Seconds since 1970 at which an id was handed out."""
    return ((snowflake >> 22) + EPOCH_MS) / 1000


def iso(seconds: float) -> str:
    """A time as Discord writes it on the wire."""
    return datetime.fromtimestamp(seconds, tz=UTC).isoformat()
