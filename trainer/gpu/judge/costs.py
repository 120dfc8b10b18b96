"""What judging takes, by part."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType


class Costs:
    """Adds up seconds by part. All parts end with numbers in main memory, so a GPU has done its share by then."""

    def __init__(self, seconds: Mapping[str, float] = MappingProxyType({})) -> None:
        self._seconds = dict(seconds)

    @contextmanager
    def of(self, part: str) -> Iterator[None]:
        """Everything inside is that part's."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.add(part, time.monotonic() - began)

    def add(self, part: str, seconds: float) -> None:
        """Seconds that were measured elsewhere."""
        self._seconds[part] = self._seconds.get(part, 0.0) + seconds

    def taken(self) -> Costs:
        """All of it; what is left is nothing."""
        found, self._seconds = Costs(self._seconds), {}
        return found

    @property
    def all(self) -> dict[str, float]:
        """Milliseconds are enough."""
        return {part: round(seconds, 3) for part, seconds in sorted(self._seconds.items())}
