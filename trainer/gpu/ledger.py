"""Where a run left its plan, as far as it is known by now: read by whoever does the work, written where memory runs out."""

from __future__ import annotations

from storage.domain.fit import (
    Departure,
    DepartureKind,
    Fit,
    Recomputed,
    encoders_streamed,
    looks_at_once,
    micro_batch,
    offloaded,
    recomputed,
    tiled,
)
from storage.domain.rungs import MOST_LOOKS, Work, next_below
from trainer.events import Departed
from trainer.gpu.channel import Channel
from trainer.gpu.memory import is_out_of_memory

_DURING: dict[Work, str] = {
    "step": "memory ran out",
    "look": "memory ran out while pictures were drawn or measured",
    "pictures": "memory ran out while pictures were encoded",
    "texts": "memory ran out while texts were encoded",
}


class Ledger:
    """The departures of one order. `step` is what is worked on: 0 for all that is done once an order, before the first step."""

    def __init__(self, fit: Fit, departures: tuple[Departure, ...], channel: Channel) -> None:
        self.fit, self.all, self.step = fit, departures, 0
        self._channel = channel

    def depart(self, step: int, kind: DepartureKind, reason: str) -> None:
        """Writes it down and tells it; a run that is done again says the same."""
        before = sum((d.step, d.kind) == (step, kind) for d in self.all)
        self.all = (*self.all, Departure(step=step, kind=kind, reason=reason))
        self._channel.tell(Departed(step=step, kind=kind, ordinal=before, reason=reason))

    def step_down(self, error: Exception, work: Work) -> None:
        """One rung down after an error that says that memory ran out; raises the error where it is another, or none is left."""
        kind = next_below(self.fit, self.all, self.step, work) if is_out_of_memory(error) else None
        if kind is None:
            raise error
        self.depart(self.step, kind, _DURING[work])

    @property
    def micro_batch(self) -> int:
        return micro_batch(self.fit, self.all, self.step)

    @property
    def recomputed(self) -> Recomputed:
        return recomputed(self.fit, self.all, self.step)

    @property
    def looks(self) -> int:
        return looks_at_once(self.fit.looks_at_once or MOST_LOOKS, self.all, self.step)

    @property
    def tiled(self) -> bool:
        return tiled(self.fit, self.all, self.step)

    @property
    def encoders_streamed(self) -> bool:
        return encoders_streamed(self.fit, self.all, self.step)

    @property
    def offloaded(self) -> bool:
        return offloaded(self.fit, self.all, self.step)
