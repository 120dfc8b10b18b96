"""How a machine runs a plan (Fit), and where a run left its plan (Departure)."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

Recomputed = Literal["none", "half", "all"]
"""Blocks of the denoiser that are computed again in the backward pass instead of being kept."""
Quantised = Literal["none", "int8", "nf4"]
DeviceKind = Literal["cpu", "cuda", "mps"]
DepartureKind = Literal[
    "learning_rate_halved",
    "micro_batch_halved",
    "all_recomputed",
    "encoders_streamed",
    "base_offloaded",
    "looks_halved",
    "vae_tiled",
    "stopped_early",
]


@dataclass(frozen=True, kw_only=True)
class Fit:
    """How one worker runs a plan; recorded with the attempt. It may not change what is learned beyond rounding.

    Fields that came later have defaults that mean what was done before them: stored fits leave them out.
    """

    device: DeviceKind
    precision: Literal["fp32", "bf16"]
    """Of the frozen base; the adapter is always fp32."""
    micro_batch: int
    """Pictures a forward pass; divides the plan's batch size."""
    gradient_checkpointing: bool
    threads: int
    """CPU threads of torch; changes the order of sums, so bit-equality holds for equal values."""
    deterministic: bool
    """Deterministic kernels on CUDA; CPU runs always are."""
    half_recomputed: bool = False
    """Of gradient checkpointing: only every second block."""
    encoders: Literal["resident", "streamed"] = "resident"
    """Text encoders lie on the GPU, or in main memory and come a matrix at a time."""
    quantised: Quantised = "none"
    """How the matrices of the frozen denoiser are kept on the GPU: this rounds the base itself."""
    offload: bool = False
    """The matrices of the denoiser lie in main memory and come for each use."""
    vae_tiles: bool = False
    """The autoencoder works in tiles of half the native side, blended at their edges."""
    looks_at_once: int = 0
    """Pictures a forward pass without gradients, for previews and measurements; 0 as many as the device is used to."""

    caches: Literal["memory", "disk"] = "memory"
    """Where latents and encoded texts lie while training: in main memory, or read from disk for every view."""

    def to_json(self) -> str:
        """The fit as stored with an attempt."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Fit:
        """The inverse of `to_json`."""
        return cls(**json.loads(text))

    @property
    def contradiction(self) -> str | None:
        """What no machine can do of it."""
        if self.quantised != "none" and self.device != "cuda":
            return f"a base quantised to {self.quantised} needs a CUDA GPU, and this is {self.device}"
        if self.quantised != "none" and self.offload:
            return "a quantised base stays on the GPU: offload is for a whole one"
        return None


@dataclass(frozen=True, kw_only=True)
class Departure:
    """Where a run left its plan. Appended, never changed; a resume replays those up to its step."""

    step: int
    """The first step that it holds for; 0 for what happened before the first, while pictures and texts were encoded.

    Of a training that stopped early its last step: it ended with that one's checkpoint.
    """
    kind: DepartureKind
    reason: str
    """Words; of a training that stopped early a `storage.domain.stopping.Because`."""


def learning_rate_factor(departures: tuple[Departure, ...], step: int) -> float:
    """What the plan's rate is multiplied with at `step`: a half for every halving that began by then."""
    return 0.5 ** _times("learning_rate_halved", departures, step)


def micro_batch(fit: Fit, departures: tuple[Departure, ...], step: int) -> int:
    """The pictures a forward pass takes at `step`, never below one."""
    return max(1, fit.micro_batch >> _times("micro_batch_halved", departures, step))


def recomputed(fit: Fit, departures: tuple[Departure, ...], step: int) -> Recomputed:
    """What is computed again at `step`."""
    if _times("all_recomputed", departures, step) or (fit.gradient_checkpointing and not fit.half_recomputed):
        return "all"
    return "half" if fit.gradient_checkpointing else "none"


def encoders_streamed(fit: Fit, departures: tuple[Departure, ...], step: int) -> bool:
    """Whether text encoders lie in main memory at `step`."""
    return fit.encoders == "streamed" or _times("encoders_streamed", departures, step) > 0


def offloaded(fit: Fit, departures: tuple[Departure, ...], step: int) -> bool:
    """Whether the denoiser's matrices lie in main memory at `step`."""
    return fit.offload or _times("base_offloaded", departures, step) > 0


def tiled(fit: Fit, departures: tuple[Departure, ...], step: int) -> bool:
    """Whether the autoencoder works in tiles at `step`."""
    return fit.vae_tiles or _times("vae_tiled", departures, step) > 0


def looks_at_once(most: int, departures: tuple[Departure, ...], step: int) -> int:
    """Of `most` pictures a forward pass without gradients, how many at `step`; never below one."""
    return max(1, most >> _times("looks_halved", departures, step))


def _times(kind: DepartureKind, departures: tuple[Departure, ...], step: int) -> int:
    return sum(d.kind == kind and d.step <= step for d in departures)
