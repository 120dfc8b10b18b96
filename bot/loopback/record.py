"""What happened: every request, every departure from the contract, every acknowledgement, every visible event."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any

KEEP = 20_000


@dataclass(frozen=True, kw_only=True)
class Violation:
    """A departure from the contract. A test that finds one fails."""

    where: str  # "request", "reply", "event", "route", "gateway"
    route: str
    path: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One HTTP call of the bot."""

    n: int
    at: float
    method: str
    route: str
    path: str
    query: dict[str, str]
    body: Any
    files: list[str]
    status: int
    reply: Any
    seconds: float
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Acknowledgement:
    """How long the bot took to answer one interaction, measured as the callback came in."""

    interaction_id: int
    kind: int
    name: str
    after_ms: float
    answer_kind: int


@dataclass(frozen=True, kw_only=True)
class Happening:
    """Something the chat shows. `audience` None is everyone who sees the channel; else one user id."""

    n: int
    at: float
    type: str
    channel_id: int | None
    audience: int | None
    data: dict[str, Any]


@dataclass(kw_only=True)
class Record:
    """The memory of a run, bounded; happenings can be waited for."""

    violations: list[Violation] = field(default_factory=list)
    exchanges: deque[Exchange] = field(default_factory=lambda: deque(maxlen=KEEP))
    acknowledgements: deque[Acknowledgement] = field(default_factory=lambda: deque(maxlen=KEEP))
    happenings: deque[Happening] = field(default_factory=lambda: deque(maxlen=KEEP))
    gateway_log: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=KEEP))
    counted: int = 0
    exchanged: int = 0
    invalid_at: deque[float] = field(default_factory=lambda: deque(maxlen=KEEP))
    """When calls were answered with 401, 403 or 429."""
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def invalid_since(self, instant: float) -> int:
        """How many calls were invalid since then."""
        while self.invalid_at and self.invalid_at[0] < instant:
            self.invalid_at.popleft()
        return len(self.invalid_at)

    def violate(self, *, where: str, route: str, path: str, message: str) -> None:
        """Note a departure from the contract (each distinct one up to a bound)."""
        if len(self.violations) < KEEP:
            self.violations.append(Violation(where=where, route=route, path=path, message=message))

    def happen(
        self, type_: str, data: dict[str, Any], *, at: float, channel_id: int | None = None, audience: int | None = None
    ) -> None:
        """Note something the chat shows and wake whoever waits for it."""
        self.counted += 1
        self.happenings.append(
            Happening(n=self.counted, at=at, type=type_, channel_id=channel_id, audience=audience, data=data)
        )
        self._news.set()
        self._news = asyncio.Event()

    def since(self, after: int) -> list[Happening]:
        """Happenings with a number above `after`, oldest first."""
        missing = self.counted - after
        if missing <= 0:
            return []
        return list(self.happenings)[-missing:]

    async def wait(self, after: int, timeout_s: float) -> None:
        """Return when there is something newer than `after`, or when the time is over."""
        if self.counted > after:
            return
        try:
            await asyncio.wait_for(self._news.wait(), timeout_s)
        except TimeoutError:
            return

    def as_json(self, kind: str) -> list[dict[str, Any]]:
        """One of the lists for the control API; ids as strings, since they do not fit JavaScript's numbers."""
        return [
            {k: str(v) if k.endswith("_id") and v else v for k, v in asdict(x).items()} for x in getattr(self, kind)
        ]
