"""One step: what the optimiser gets of a gradient."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.builders import tiny_plan
from trainer.gpu.families.family import Base
from trainer.gpu.loop import train_step
from trainer.gpu.schedules import Diffusion
from trainer.gpu.views import Batch

CHANNELS = 4


@dataclass
class Plain:
    """A base whose denoiser sees nothing but the latents."""

    schedule: Diffusion = field(
        default_factory=lambda: Diffusion(alphas_cumprod_T=torch.linspace(0.99, 0.01, 10), prediction="epsilon")
    )

    def predict(self, denoiser: nn.Module, noisy_BCHW: Tensor, *_: Any) -> Tensor:
        found: Tensor = denoiser(noisy_BCHW)
        return found


def batch() -> Batch:
    drawn = torch.Generator().manual_seed(3)
    shape = (2, CHANNELS, 8, 8)
    return Batch(
        latents_BCHW=torch.randn(shape, generator=drawn),
        noise_BCHW=torch.randn(shape, generator=drawn),
        t_B=torch.tensor([2, 7]),
        words=None,  # type: ignore[arg-type]  # nobody hears them
        framing=(),
    )


def moved(most: float) -> Tensor:
    """What plain gradient descent at rate 1 takes away: the gradient as it arrived."""
    torch.manual_seed(1)
    denoiser = nn.Conv2d(CHANNELS, CHANNELS, 1)
    before = torch.cat([p.detach().flatten() for p in denoiser.parameters()])
    plan = replace(tiny_plan(), batch_size=2, max_grad_norm=most, min_snr_gamma=None)
    base: Base = Plain()  # type: ignore[assignment]  # the two of its nouns that a step needs
    train_step(base, denoiser, torch.optim.SGD(denoiser.parameters(), lr=0.0), [batch()], plan, rate=1.0)
    return before - torch.cat([p.detach().flatten() for p in denoiser.parameters()])


@pytest.mark.parametrize("share", [0.01, 0.5, 0.999, 1.001, 20.0])
def test_a_gradient_arrives_no_longer_than_planned_and_points_where_it_pointed(share: float) -> None:
    """It is g min(1, c / |g|), with |g| over all parameters together (Pascanu et al. 2013, arXiv 1211.5063, algorithm 1)."""
    whole = moved(1e9)
    norm = float(whole.norm())
    clipped = moved(share * norm)
    assert float(clipped.norm()) == pytest.approx(min(1.0, share) * norm, rel=1e-4)
    assert torch.allclose(clipped, min(1.0, share) * whole, rtol=1e-3, atol=1e-6)
