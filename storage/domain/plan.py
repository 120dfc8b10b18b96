"""What to learn (Plan), how this machine does it (Fit), and where a run left the plan (Departure).

A plan is frozen at Start and stored. Every field changes the run: `tests/trainer/gpu` proves it field by field.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Literal

from storage.domain.orders import SubjectType


class Validation(StrEnum):
    """What held-out pictures are for. Under 6 none; 6 to 19 only a veto; from 20 a full voice."""

    NONE = "none"
    VETO = "veto"
    FULL = "full"


@dataclass(frozen=True, kw_only=True)
class PreviewPrompt:
    """One row of a grid."""

    text: str
    """The prompt as drawn, trigger included where `with_trigger`."""
    seeds: tuple[int, ...]
    """Seeds of the initial noise: the same at every checkpoint and scale, so that pictures compare."""
    with_trigger: bool = True
    """Prompts without the trigger measure leakage: others must stay themselves."""
    plain: str = ""
    """The prompt with the trigger replaced by the class word: what adherence is measured against."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that decides what is learned. Numbers come from `recipes.plan_for`."""

    base: str
    """Name of the base model (`pocket`, `sdxl`) as in `trainer/gpu/families`."""
    subject_type: SubjectType
    class_word: str
    trigger: str
    recipe: str
    """Name of the recipe that made this plan, with its version: `house-1/pocket/object`."""
    seed: int
    """Run seed; step k draws from generators seeded by (seed, k)."""
    steps: int
    """Optimiser steps in all."""
    checkpoint_steps: tuple[int, ...]
    """Ascending; the last is `steps`."""
    learning_rate: float
    warmup_steps: int
    schedule: Literal["constant", "cosine"]
    batch_size: int
    """Pictures a step; the fit may split it, the gradient is the same."""
    rank: int
    """LoRA rank; alpha is always equal to it (DESIGN, section 4)."""
    targets: Literal["attention", "attention+ff", "attention+ff+conv"]
    """Which layers of the denoiser carry the adapter."""
    weight_decay: float
    max_grad_norm: float
    resolution: int
    """Side in px of the square whose area every bucket has."""
    flip: bool
    """Mirror half of the views; off where the subject has a left and a right (persons, lettering)."""
    caption_dropout: float
    """Share of views whose caption is empty, so that guidance keeps working."""
    min_snr_gamma: float | None
    """Loss weight cap of Hang et al. 2023 (arXiv 2303.09556, section 3.4); None is the plain loss."""
    noise_offset: float
    """Standard deviation of a per-channel constant added to the noise; 0 is off."""
    captions: tuple[str, ...]
    """Caption templates; `{trigger}` and `{class_word}` are filled in, one drawn a view."""
    validation: Validation
    held_out: tuple[str, ...]
    """Ids of pictures that are never trained on."""
    prompts: tuple[PreviewPrompt, ...]
    """The rows of every grid, and what the measurements are taken on."""
    preview_steps: int
    """Sampler steps of a preview."""
    guidance: float
    """Classifier-free guidance of previews."""

    def to_json(self) -> str:
        """The plan as stored: sorted keys, so that equal plans are equal texts."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """The inverse of `to_json`; raises `TypeError` for unknown or missing fields."""
        data: dict[str, Any] = json.loads(text)
        data["subject_type"] = SubjectType(data["subject_type"])
        data["validation"] = Validation(data["validation"])
        data["prompts"] = tuple(PreviewPrompt(**{**p, "seeds": tuple(p["seeds"])}) for p in data["prompts"])
        for name in ("checkpoint_steps", "captions", "held_out"):
            data[name] = tuple(data[name])
        return cls(**data)


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
    kind: Literal["learning_rate_halved", "micro_batch_halved", "stopped_early"]
    reason: str


def learning_rate_factor(departures: tuple[Departure, ...], step: int) -> float:
    """What the plan's rate is multiplied with at `step`: a half for every halving that began by then."""
    return 0.5 ** sum(d.kind == "learning_rate_halved" and d.step <= step for d in departures)


def micro_batch(fit: Fit, departures: tuple[Departure, ...], step: int) -> int:
    """The pictures a forward pass takes at `step`, never below one."""
    halvings = sum(d.kind == "micro_batch_halved" and d.step <= step for d in departures)
    return max(1, fit.micro_batch >> halvings)


def shortened(plan: Plan, steps: int) -> Plan:
    """The same plan with fewer or more steps, checkpoints at the same shares: for tests and comparisons."""
    shares = [s / plan.steps for s in plan.checkpoint_steps]
    marks = sorted({max(1, round(share * steps)) for share in shares} | {steps})
    warmup = min(plan.warmup_steps, steps)
    return replace(plan, steps=steps, checkpoint_steps=tuple(marks), warmup_steps=warmup)
