"""Which checkpoints stay: the ones that measured best, and the last ones. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Keeping:
    """How many; None of both keeps all, None of one counts as none of that kind."""

    best: int | None
    last: int | None

    def of(self, checkpoints: Sequence[tuple[int, float | None]]) -> frozenset[int]:
        """The steps that stay, of (step, how well it measured): of equals the earlier one, and unmeasured ones come last."""
        steps = sorted(step for step, _ in checkpoints)
        if self.best is None and self.last is None:
            return frozenset(steps)
        ranked = sorted(checkpoints, key=lambda one: (one[1] is None, -(one[1] or 0.0), one[0]))
        return frozenset([step for step, _ in ranked[: self.best or 0]]) | frozenset(
            steps[len(steps) - (self.last or 0) :]
        )
