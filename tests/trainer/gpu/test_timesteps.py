"""Timesteps are drawn with the density that the paper states."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from storage.domain.plan import Plan
from tests.builders import tiny_plan
from trainer.gpu.noise import stratified
from trainer.gpu.pictures import Shape
from trainer.gpu.timesteps import density, shift, shifted, timesteps

SQUARE = Shape(height=1024, width=1024)


def drawn(plan: Plan, count: int = 4000) -> torch.Tensor:
    """As shares of the schedule, over many steps."""
    of = [t for step in range(count // 8) for t in timesteps(plan, [SQUARE] * 8, 1000, step)]
    return torch.tensor(of, dtype=torch.float64) / 1000


def test_the_usual_density_is_uniform_and_the_one_that_stored_plans_had() -> None:
    plan = tiny_plan()
    assert timesteps(plan, [SQUARE] * 4, 1000, 3) == [int(u * 1000) for u in stratified(4, seed=plan.seed, step=3)]
    found = drawn(plan)
    assert float(found.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(found.std()) == pytest.approx(12**-0.5, abs=0.01)


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (-0.5, 0.6), (1.0, 1.5)])
def test_the_logit_of_a_logit_normal_timestep_is_normal(mean: float, std: float) -> None:
    plan = replace(tiny_plan(), timestep_density="logit-normal", timestep_mean=mean, timestep_std=std)
    found = drawn(plan).clamp(5e-4, 1 - 5e-4)
    logits = (found / (1 - found)).log()
    assert float(logits.mean()) == pytest.approx(mean, abs=0.05)
    assert float(logits.std()) == pytest.approx(std, rel=0.05)
    for sigmas, below in ((-1, 0.1587), (0, 0.5), (1, 0.8413)):  # of any normal distribution
        edge = 1 / (1 + math.exp(-(mean + sigmas * std)))
        assert float((found < edge).double().mean()) == pytest.approx(below, abs=0.015)


def test_the_logit_normal_density_has_the_height_that_the_paper_gives() -> None:
    """pi_ln(t; 0, 1) at 1/2 is 4 / sqrt(2 pi) = 1.596, and the ends are never drawn (section 3.1)."""
    plan = replace(tiny_plan(), timestep_density="logit-normal")
    slope = (density(plan, 0.5 + 1e-4) - density(plan, 0.5 - 1e-4)) / 2e-4  # of the quantile: one over the density
    assert 1 / slope == pytest.approx(4 / math.sqrt(2 * math.pi), rel=1e-3)
    assert 0.0 < density(plan, 0.0) < 0.01
    assert 0.99 < density(plan, 1.0) < 1.0


def test_a_shift_of_three_moves_the_middle_to_three_quarters_and_keeps_the_ends() -> None:
    assert [shifted(u, 3.0) for u in (0.0, 0.5, 1.0)] == [0.0, 0.75, 1.0]
    assert float(drawn(replace(tiny_plan(), timestep_shift=3.0)).median()) == pytest.approx(0.75, abs=0.01)


def test_the_shift_keeps_the_doubt_about_a_flat_picture_the_same_at_every_size() -> None:
    """With n pixels the error of the mean is t / (1 - t) over the root of n (section 5.3.2)."""
    plan = replace(tiny_plan(), timestep_shift_px=512)
    for side in (256, 512, 1024):
        moved = shifted(0.3, shift(plan, Shape(height=side, width=side)))
        assert moved / (1 - moved) / side == pytest.approx(0.3 / 0.7 / 512)


def test_views_of_one_step_take_the_shift_of_their_own_shape() -> None:
    plan = replace(tiny_plan(), timestep_shift_px=512)
    small = timesteps(plan, [Shape(height=512, width=512)] * 8, 1000, 1)
    large = timesteps(plan, [Shape(height=1024, width=2048)] * 8, 1000, 1)
    mixed = timesteps(plan, [Shape(height=512, width=512)] * 4 + [Shape(height=1024, width=2048)] * 4, 1000, 1)
    assert mixed == [*small[:4], *large[4:]]
    assert all(a < b for a, b in zip(small, large, strict=True))
