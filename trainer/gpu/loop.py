"""One training step, written once for every family.

Shapes: B views, C latent channels, H x W latents.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from storage import faults
from storage.domain.plan import Plan
from trainer.gpu.dropout import Draw
from trainer.gpu.families.family import Base
from trainer.gpu.prior import base_says
from trainer.gpu.views import Batch


class NotFinite(ArithmeticError):
    """The loss or a gradient is not a finite number."""


@dataclass(frozen=True, kw_only=True)
class StepLoss:
    """What a step cost, for the progress line alone."""

    plain_B: tuple[float, ...]
    """Unweighted loss of each view of the order's pictures; the prior's are not among them."""
    t_B: tuple[int, ...]


def losses(base: Base, denoiser: nn.Module, batch: Batch) -> Tensor:
    """Mean squared error of each view (B,), unweighted: the objective of training and of every loss that is measured.

    Against what the base says without the adapter where the batch is there to keep that (`prior`).
    """
    noisy_BCHW = base.schedule.noisy(batch.latents_BCHW, batch.noise_BCHW, batch.t_B)
    if batch.kind == "base_prediction":
        target_BCHW = base_says(base, denoiser, batch, noisy_BCHW)
    else:
        target_BCHW = base.schedule.target(batch.latents_BCHW, batch.noise_BCHW, batch.t_B)
    words = batch.say() if batch.say else batch.words
    prediction_BCHW = base.predict(denoiser, noisy_BCHW, batch.t_B, words, batch.framing)
    return (prediction_BCHW - target_BCHW).square().mean(dim=(1, 2, 3))


def train_step(
    base: Base,
    denoiser: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Iterable[Batch],
    plan: Plan,
    *,
    rate: float,
    draw: Draw | None = None,
) -> StepLoss:
    """One optimiser step over the batches of one step, their gradients added up. Raises `NotFinite` before it changes anything.

    With g the gradient of all parameters together and c the plan's largest norm, the optimiser gets g min(1, c / |g|)
    (Pascanu et al. 2013, arXiv 1211.5063, algorithm 1).
    `draw` is what the adapter's dropout is drawn for; none where it has none.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    optimizer.zero_grad(set_to_none=True)
    plain: list[float] = []
    timesteps: list[int] = []
    for batch in batches:
        with draw.of(batch.step, batch.places) if draw else nullcontext():
            losses_B = losses(base, denoiser, batch)
            weighted = losses_B * base.schedule.weight(batch.t_B, plan.min_snr_gamma)
            torch.autograd.backward(batch.weight * weighted.sum() / plan.views_a_step)
        if batch.kind == "pictures":
            plain += losses_B.detach().cpu().tolist()
            timesteps += batch.t_B.cpu().tolist()
    norm = torch.nn.utils.clip_grad_norm_(parameters, plan.max_grad_norm)
    if not (math.isfinite(float(norm)) and all(map(math.isfinite, plain))):
        raise NotFinite(f"loss {sum(plain) / max(1, len(plain))}, gradient norm {float(norm)}")
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("share", 1.0)
    optimizer.step()
    faults.gap("step")
    return StepLoss(plain_B=tuple(plain), t_B=tuple(timesteps))
