"""One training step, written once for every family.

Shapes: B views, C latent channels, H x W latents.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from storage import faults
from storage.domain.plan import Departure, Plan, learning_rate_factor
from trainer.gpu.families.family import Base
from trainer.gpu.views import Batch


class NotFinite(ArithmeticError):
    """The loss or a gradient is not a finite number."""


@dataclass(frozen=True, kw_only=True)
class StepLoss:
    """What a step cost, for the progress line alone."""

    plain_B: tuple[float, ...]
    """Unweighted loss of each view."""
    t_B: tuple[int, ...]


def losses(base: Base, denoiser: nn.Module, batch: Batch) -> Tensor:
    """Mean squared error of each view (B,), unweighted: the objective of training and of every loss that is measured."""
    noisy_BCHW = base.schedule.noisy(batch.latents_BCHW, batch.noise_BCHW, batch.t_B)
    target_BCHW = base.schedule.target(batch.latents_BCHW, batch.noise_BCHW, batch.t_B)
    prediction_BCHW = base.predict(denoiser, noisy_BCHW, batch.t_B, batch.words, batch.framing)
    return (prediction_BCHW - target_BCHW).square().mean(dim=(1, 2, 3))


def optimizer_for(parameters: Iterable[nn.Parameter], plan: Plan) -> torch.optim.AdamW:
    """AdamW with its usual moments (Loshchilov and Hutter 2019, arXiv 1711.05101); the rate is set at every step."""
    return torch.optim.AdamW(parameters, lr=plan.learning_rate, weight_decay=plan.weight_decay, foreach=True)


def learning_rate(plan: Plan, departures: Sequence[Departure], step: int) -> float:
    """The rate of `step` (from 1): linear warm-up, then constant or half a cosine to zero, halved by departures."""
    rate = plan.learning_rate * learning_rate_factor(tuple(departures), step)
    if step <= plan.warmup_steps:
        return rate * step / plan.warmup_steps
    if plan.schedule == "constant":
        return rate
    done = (step - plan.warmup_steps - 1) / max(1, plan.steps - plan.warmup_steps)
    return rate * 0.5 * (1.0 + math.cos(math.pi * done))


def train_step(
    base: Base,
    denoiser: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Iterable[Batch],
    plan: Plan,
    *,
    rate: float,
) -> StepLoss:
    """One optimiser step over the batches of one step. Raises `NotFinite` before anything is changed."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    optimizer.zero_grad(set_to_none=True)
    plain: list[float] = []
    timesteps: list[int] = []
    for batch in batches:
        losses_B = losses(base, denoiser, batch)
        weighted = losses_B * base.schedule.weight(batch.t_B, plan.min_snr_gamma)
        torch.autograd.backward(weighted.sum() / plan.batch_size)
        plain += losses_B.detach().cpu().tolist()
        timesteps += batch.t_B.cpu().tolist()
    norm = torch.nn.utils.clip_grad_norm_(parameters, plan.max_grad_norm)
    if not (math.isfinite(float(norm)) and all(map(math.isfinite, plain))):
        raise NotFinite(f"loss {sum(plain) / max(1, len(plain))}, gradient norm {float(norm)}")
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    faults.gap("step")
    return StepLoss(plain_B=tuple(plain), t_B=tuple(timesteps))
