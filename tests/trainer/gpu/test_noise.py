"""Noise, timesteps and targets: the same as the stock schedulers say, and a function of the step alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import torch
from diffusers import DDPMScheduler

from tests.builders import tiny_plan
from trainer.gpu.families.unet import schedule_of
from trainer.gpu.noise import generator, pyramid, step_noise, stratified
from trainer.gpu.schedules import Diffusion, Prediction

KINDS: tuple[Prediction, ...] = ("epsilon", "v_prediction")


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
    ours = schedule_of(theirs.config)
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


def low(noise: torch.Tensor) -> float:
    """Variance of the means of the channels: what an offset or coarse layers add to white noise's one over its pixels."""
    return float(noise.mean(dim=(1, 2)).square().mean())


def test_an_offset_gives_every_channel_a_mean_of_the_planned_deviation() -> None:
    """Variance of a channel's mean: 1 / pixels + offset^2 (Guttenberg 2023)."""
    plan = replace(tiny_plan(), noise_offset=0.1)
    found = [step_noise((512, 32, 32), plan, step=step, view=0) for step in range(4)]
    assert sum(map(low, found)) / 4 == pytest.approx(1 / 1024 + 0.01, rel=0.15)
    assert low(step_noise((512, 32, 32), tiny_plan(), step=1, view=0)) == pytest.approx(1 / 1024, rel=0.25)


def test_pyramid_noise_has_variance_one_and_its_power_where_the_picture_is_coarse() -> None:
    """Layer i brings discount^(2i) of variance, all of it coarse: the means of channels vary far more than white noise's."""
    found = pyramid(torch.randn(64, 64, 64, generator=generator(1, 1, "white")), 0.5, generator(1, 1, "layers"))
    assert float(found.var()) == pytest.approx(1.0, abs=1e-3)
    neighbours = float((found[:, :, 1:] * found[:, :, :-1]).mean())
    layers = 0.5**2 + 0.5**4 + 0.5**6  # the coarse share of the variance before it is brought back to 1, at most
    assert 0.3 * layers / (1 + layers) < neighbours < layers / (1 + layers)
    assert low(found) > 5 / 64**2


def test_pyramid_noise_goes_over_into_white_noise_as_its_discount_goes_to_nothing() -> None:
    white = torch.randn(4, 16, 16, generator=generator(1, 1, "white"))
    white = white / white.std()
    assert torch.allclose(pyramid(white, 1e-6, generator(1, 1, "layers")), white, atol=1e-4)
    plan = replace(tiny_plan(), pyramid_noise=0.4)
    first = step_noise((4, 8, 8), plan, step=2, view=1)
    assert torch.equal(first, step_noise((4, 8, 8), plan, step=2, view=1))
    assert not torch.equal(first, step_noise((4, 8, 8), plan, step=3, view=1))
    assert step_noise((4, 1, 5), plan, step=1, view=0).isfinite().all()


def test_min_snr_weights_are_the_papers_for_the_noise_and_for_the_velocity() -> None:
    """min(SNR, 5) for the picture is min(SNR, 5) / SNR for the noise and / (SNR + 1) for the velocity (section 3.4).

    The three objectives differ by these factors in the error of the picture: |e - e'|^2 = SNR |x - x'|^2, and
    |v - v'|^2 = (SNR + 1) |x - x'|^2, so all weigh the picture's error alike.
    """
    snr = torch.tensor([0.01, 1.0, 4.99, 5.01, 100.0])
    schedules = {kind: Diffusion(alphas_cumprod_T=snr / (1 + snr), prediction=kind) for kind in KINDS}
    weights = {kind: schedule.weight(torch.arange(5), 5.0) for kind, schedule in schedules.items()}
    wanted = snr.clamp(max=5.0)
    assert torch.allclose(weights["epsilon"] * snr, wanted, rtol=1e-4)
    assert torch.allclose(weights["v_prediction"] * (snr + 1), wanted, rtol=1e-4)
