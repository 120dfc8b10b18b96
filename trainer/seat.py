"""The one seat on the GPU: the child that sits there stays between turns, because loading a base takes longer than a segment."""

from __future__ import annotations

import logging
from typing import Literal

from trainer.child import Child, ChildLost, Launch
from trainer.fit import Device

log = logging.getLogger(__name__)


class Seat:
    """Holds at most one live child."""

    def __init__(self, launch: Launch, *, memory_gib: float | None = None, deterministic: bool = False) -> None:
        self.launch = launch
        self._memory_gib = memory_gib
        self._deterministic = deterministic
        self._child: Child | None = None

    async def child(self) -> Child:
        """The child that sits here, or a new one. Raises `ChildLost`."""
        if self._child is None or not self._child.alive:
            self._child = None
            self._child = await Child.start(self.launch)
            log.info("the GPU child is up: pid %s", self._child.pid)
        return self._child

    def device(self, child: Child) -> Device:
        """What the child computes on. Raises `ChildLost` where the operator wanted a GPU and there is none."""
        on_gpu = child.ready is not None and child.ready.device != "cpu"
        if self.launch.device == "cuda" and not on_gpu:
            raise ChildLost("the GPU child found no GPU to compute on")
        kind: Literal["cpu", "cuda"] = "cuda" if on_gpu and self.launch.device != "cpu" else "cpu"
        return Device(
            kind=kind,
            memory_gib=self._memory_gib if kind == "cuda" else None,
            threads=self.launch.threads,
            deterministic=self._deterministic,
        )

    async def clear(self) -> None:
        """Whoever sits here is killed."""
        child, self._child = self._child, None
        if child is not None:
            await child.kill()

    async def leave(self) -> None:
        """Whoever sits here is asked to go, at the end of a worker's day."""
        child, self._child = self._child, None
        if child is not None:
            await child.quit()
