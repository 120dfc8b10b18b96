"""Flow schedules: the sigmas of the stock scheduler at every size, and the straight line between picture and noise."""

from __future__ import annotations

import math

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.pipelines.flux.pipeline_flux import calculate_shift
from diffusers.pipelines.flux2.pipeline_flux2_klein import compute_empirical_mu

from trainer.gpu.families.flux2 import SAMPLER_STEPS, _shift
from trainer.gpu.families.transformer import size_dependent
from trainer.gpu.schedules import Flow, Shift

MOVING = {"use_dynamic_shifting": True, "base_shift": 0.5, "max_shift": 1.15}


def sigmas(flow: Flow, height: int, width: int) -> torch.Tensor:
    """From all noise to none, as schedulers count."""
    return flow.sigma(torch.arange(flow.steps - 1, -1, -1), torch.zeros(1, 1, height, width))


@pytest.mark.parametrize("factor", [1.0, 3.0, 6.0])
def test_a_constant_shift_gives_the_stock_schedulers_training_sigmas(factor: float) -> None:
    theirs = FlowMatchEulerDiscreteScheduler(shift=factor)
    ours = Flow(shift=size_dependent(theirs.config))
    assert torch.allclose(sigmas(ours, 8, 8), theirs.sigmas[:1000], atol=1e-6)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 96), (128, 128)])
def test_flux_shifts_with_the_size_as_its_pipeline_does(height: int, width: int) -> None:
    theirs = FlowMatchEulerDiscreteScheduler(**MOVING)
    ours = Flow(shift=size_dependent(theirs.config))
    mu = calculate_shift(height * width // 4, 256, 4096, 0.5, 1.15)
    theirs.set_timesteps(sigmas=torch.linspace(1.0, 0.001, 1000).tolist(), mu=mu)
    assert torch.allclose(sigmas(ours, height, width), theirs.sigmas[:1000], atol=1e-5)


def test_flux_at_1024_px_shifts_by_what_sd_scripts_recommends() -> None:
    """docs/flux_train_network.md: discrete_flow_shift 3.1582."""
    shift = size_dependent(FlowMatchEulerDiscreteScheduler(**MOVING).config)
    assert shift.factor(128, 128) == pytest.approx(3.1582, abs=1e-3)


@pytest.mark.parametrize("side", [16, 32, 64])
def test_klein_shifts_with_the_size_as_its_pipeline_does(side: int) -> None:
    theirs = FlowMatchEulerDiscreteScheduler(**MOVING)
    mu = compute_empirical_mu(side * side, SAMPLER_STEPS)
    assert _shift(theirs.config).factor(side, side) == pytest.approx(math.exp(mu), rel=1e-5)


def test_a_flow_mixes_along_a_line_and_asks_for_its_direction() -> None:
    flow = Flow(shift=Shift.constant(3.0))
    picture, noise = torch.randn(2, 3, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    t = torch.tensor([0, 400, 999])
    sigma = flow.sigma(t, picture).view(-1, 1, 1, 1)
    noisy, target = flow.noisy(picture, noise, t), flow.target(picture, noise, t)
    assert torch.allclose(noisy - sigma * target, picture, atol=1e-5)
    assert torch.equal(noisy[2], noise[2])
    assert float((noisy[0] - picture[0]).abs().max()) < 0.02


def test_shifts_after_each_other_are_one_of_their_product() -> None:
    t = torch.arange(1000)
    once = Flow(shift=Shift.constant(6.0)).sigma(t, torch.zeros(1, 1, 1, 1))
    u = Flow(shift=Shift.constant(2.0)).sigma(t, torch.zeros(1, 1, 1, 1))
    assert torch.allclose(3.0 * u / (1.0 + 2.0 * u), once, atol=1e-6)


def test_min_snr_is_refused_for_flows() -> None:
    flow = Flow(shift=Shift.constant(1.0))
    assert flow.weight(torch.arange(3), None).tolist() == [1.0, 1.0, 1.0]
    with pytest.raises(ValueError, match="min-SNR"):
        flow.weight(torch.arange(3), 5.0)
