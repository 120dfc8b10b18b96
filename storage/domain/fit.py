"""How a machine runs a plan (Fit), and where a run left its plan (Departure)."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Fit:
    """How one worker runs a plan; recorded with the attempt. It may not change what is learned beyond rounding."""

    device: Literal["cpu", "cuda"]
    precision: Literal["fp32", "bf16"]
    """Of the frozen base; the adapter is always fp32."""
    micro_batch: int
    """Pictures a forward pass; divides the plan's batch size."""
    gradient_checkpointing: bool
    threads: int
    """CPU threads of torch; changes the order of sums, so bit-equality holds for equal values."""
    deterministic: bool
    """Deterministic kernels on CUDA; CPU runs always are."""

    caches: Literal["memory", "disk"] = "memory"
    """Where latents and encoded texts lie while training: in main memory, or read from disk for every view."""

    def to_json(self) -> str:
        """The fit as stored with an attempt."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Fit:
        """The inverse of `to_json`."""
        return cls(**json.loads(text))


@dataclass(frozen=True, kw_only=True)
class Departure:
    """Where a run left its plan. Appended, never changed; a resume replays those up to its step."""

    step: int
    """The first step that it holds for."""
    kind: Literal["learning_rate_halved", "micro_batch_halved"]
    reason: str


def learning_rate_factor(departures: tuple[Departure, ...], step: int) -> float:
    """What the plan's rate is multiplied with at `step`: a half for every halving that began by then."""
    return 0.5 ** sum(d.kind == "learning_rate_halved" and d.step <= step for d in departures)


def micro_batch(fit: Fit, departures: tuple[Departure, ...], step: int) -> int:
    """The pictures a forward pass takes at `step`, never below one."""
    halvings = sum(d.kind == "micro_batch_halved" and d.step <= step for d in departures)
    return max(1, fit.micro_batch >> halvings)
