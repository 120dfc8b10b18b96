"""The one seat on the GPU: the child that sits there stays between turns, because loading a base takes longer than a segment."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from storage.domain.fit import DeviceKind
from storage.domain.plan import Plan
from storage.domain.rungs import rung_of
from trainer.child import Child, Launch, NeverReady
from trainer.fit import Device, fit_for, largest_recipe

log = logging.getLogger(__name__)


class Seat:
    """Holds at most one live child."""

    def __init__(
        self,
        launch: Launch,
        *,
        memory_gib: float | None = None,
        main_gib: float | None = None,
        deterministic: bool = False,
        need_gpu: Sequence[str] = (),
    ) -> None:
        self.launch = launch
        self._memory_gib, self._main_gib = memory_gib, main_gib
        self._deterministic = deterministic
        self._need_gpu = tuple(need_gpu)
        self._child: Child | None = None
        self._working = False
        self._since = time.monotonic()

    async def meet(self) -> None:
        """Look whether bases that need a GPU find one here. Raises `NeverReady`."""
        if self._need_gpu:
            await self.child()
            self.rest()

    async def prove(self) -> None:
        """The same before the first order comes, and whether whatever members may order fits on it. Raises `TooSmall` too."""
        await self.meet()
        for base in self._need_gpu:
            fit = fit_for(largest_recipe(base), self.device(await self.child()))
            log.info("%s trains here with: %s", base, rung_of(fit))
        self.rest()

    def require_fit(self, plan: Plan, pictures: int) -> None:
        """Before an order is queued: whether this one plan fits on the device that was met. Raises `TooSmall`."""
        if self._child is not None:
            fit_for(plan, self.device(self._child), pictures=pictures)

    async def child(self) -> Child:
        """The child that sits here, or a new one; it stays until `rest` and then for a while. Raises `NeverReady`."""
        self._working = True
        if self._child is None or not self._child.alive:
            self._child = None
            if self.launch.device == "cpu" and self._need_gpu:
                raise NeverReady(self._no_gpu("LORASMITH_DEVICE is cpu"))
            self._child = await Child.start(self.launch)
            await self._require_gpu(self._child)
            log.info("the GPU child is up: pid %s", self._child.pid)
            for note in self._child.ready.notes if self._child.ready else ():
                log.warning("%s", note)
        return self._child

    async def _require_gpu(self, child: Child) -> None:
        if (self.launch.device == "cuda" or self._need_gpu) and not _on_gpu(child):
            await self.clear()
            raise NeverReady(self._no_gpu("PyTorch finds no GPU on this machine"), stderr=child.stderr)

    def _no_gpu(self, found: str) -> str:
        if not self._need_gpu:
            return f"LORASMITH_DEVICE is cuda, but {found}; look at its driver, or set LORASMITH_DEVICE=auto"
        names = " and ".join(self._need_gpu)
        return f"{found}, and {names} cannot be trained without one in any useful time; here only the pocket can"

    @property
    def pid(self) -> int | None:
        """The process that sits here; None where nobody does."""
        return self._child.pid if self._child is not None and self._child.alive else None

    def rest(self) -> None:
        """The work is over for now."""
        self._working, self._since = False, time.monotonic()

    async def leave_if_idle(self, idle_s: float) -> None:
        """Whoever sat here for so long without work goes, so that other programs find the GPU free."""
        if self._child is not None and not self._working and time.monotonic() - self._since >= idle_s:
            log.info("no work for %.0f s; the GPU is free for others", idle_s)
            await self.leave()

    def device(self, child: Child) -> Device:
        """What the child computes on."""
        kind = _kind(child) if self.launch.device != "cpu" else "cpu"
        said = child.ready.memory_gib if child.ready else None
        return Device(
            kind=kind,
            memory_gib=None if kind == "cpu" else said or self._memory_gib,
            threads=self.launch.threads,
            deterministic=self._deterministic,
            bf16=child.ready is not None and child.ready.bf16,
            main_gib=self._main_gib,
        )

    async def clear(self) -> None:
        """Whoever sits here is killed."""
        child, self._child = self._child, None
        if child is not None:
            await child.kill()

    async def leave(self) -> None:
        """Whoever sits here is asked to go: after a while without work, and at the end of a worker's day."""
        child, self._child = self._child, None
        if child is not None:
            await child.quit()


def _on_gpu(child: Child) -> bool:
    return _kind(child) != "cpu"


def _kind(child: Child) -> DeviceKind:
    if child.ready is None or child.ready.device == "cpu":
        return "cpu"
    return child.ready.kind or "cuda"
