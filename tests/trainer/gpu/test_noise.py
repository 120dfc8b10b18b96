"""Noise, timesteps and targets: the same as the stock schedulers say, and a function of the step alone."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from diffusers import DDPMScheduler

from tests.builders import tiny_plan
from trainer.gpu.families.sdxl import _schedule
from trainer.gpu.noise import generator, step_noise, stratified
from trainer.gpu.schedules import Diffusion


def stock(prediction: str, *, zero: bool) -> DDPMScheduler:
    return DDPMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type=prediction,
        rescale_betas_zero_snr=zero,
    )


@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_noisy_latents_and_targets_are_those_of_the_stock_scheduler(prediction: str, *, zero: bool) -> None:
    theirs = stock(prediction, zero=zero)
    ours = _schedule(theirs.config)
    latents, noise = torch.randn(2, 5, 4, 8, 8, generator=generator(1, 1, "test"))
    t = torch.tensor([0, 250, 500, 998, 999])
    assert torch.allclose(ours.noisy(latents, noise, t), theirs.add_noise(latents, noise, t), atol=1e-5)
    wanted = noise if prediction == "epsilon" else theirs.get_velocity(latents, noise, t)
    assert torch.allclose(ours.target(latents, noise, t), wanted, atol=1e-5)
    assert bool(ours.alphas_cumprod_T[-1] == 0) is zero


def test_min_snr_caps_the_weight_of_clean_pictures_and_never_divides_by_zero() -> None:
    alphas = torch.tensor([0.999, 0.5, 0.0])
    t = torch.arange(3)
    noise = Diffusion(alphas_cumprod_T=alphas, prediction="epsilon").weight(t, 5.0)
    velocity = Diffusion(alphas_cumprod_T=alphas, prediction="v_prediction").weight(t, 5.0)
    assert noise.tolist() == pytest.approx([5.0 / 999.0, 1.0, 1.0], rel=1e-3)
    assert velocity.tolist() == pytest.approx([5.0 / 1000.0, 0.5, 0.0], rel=1e-3)


def test_equal_step_and_purpose_give_equal_numbers_and_others_do_not() -> None:
    def draw(step: int, view: int) -> torch.Tensor:
        return step_noise((2, 3, 3), tiny_plan(), step=step, view=view)

    assert torch.equal(draw(4, 0), draw(4, 0))
    assert not torch.equal(draw(4, 0), draw(5, 0))
    assert not torch.equal(draw(4, 0), draw(4, 1))


def test_timesteps_of_a_step_come_from_every_part_of_the_schedule() -> None:
    drawn = stratified(8, seed=1, step=3)
    assert sorted(int(u * 8) for u in drawn) == list(range(8))


def test_timesteps_over_many_steps_are_uniform() -> None:
    drawn = Counter(int(10 * stratified(1, seed=1, step=step)[0]) for step in range(2000))
    assert set(drawn) == set(range(10))
    assert max(drawn.values()) < 1.35 * min(drawn.values())
