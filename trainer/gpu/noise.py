"""Random numbers that belong to a step, and the noise schedule of a diffusion model.

Every random choice of step k comes from a generator seeded by (run seed, step, what it is for). So a resumed run draws
what the uninterrupted one would have drawn, and nothing of a generator's state has to be kept. All draws are made on the
CPU: a GPU run sees the same numbers.

Shapes: B pictures, C latent channels, H x W latents, T timesteps of the schedule.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Prediction = Literal["epsilon", "v_prediction"]


def generator(seed: int, step: int, what: str) -> torch.Generator:
    """The generator of one random choice; equal arguments give equal draws on every machine."""
    digest = hashlib.sha256(f"{seed}:{step}:{what}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def normal(shape: tuple[int, ...], seed: int, step: int, what: str) -> Tensor:
    """Standard normal numbers of one choice."""
    return torch.randn(shape, generator=generator(seed, step, what))


def uniform(shape: tuple[int, ...], seed: int, step: int, what: str) -> Tensor:
    """Numbers in [0, 1) of one choice."""
    return torch.rand(shape, generator=generator(seed, step, what))


def shuffled(count: int, seed: int, step: int, what: str) -> list[int]:
    """0 ... count - 1 in a random order."""
    return [int(i) for i in torch.randperm(count, generator=generator(seed, step, what))]


def step_noise(shape: tuple[int, ...], *, seed: int, step: int, view: int, offset: float) -> Tensor:
    """The noise of one view (C, H, W), with a per-channel constant of the given standard deviation added."""
    noise = normal(shape, seed, step, f"noise-{view}")
    if offset:
        noise = noise + offset * normal((shape[0], 1, 1), seed, step, f"offset-{view}")
    return noise


def stratified_timesteps(count: int, steps: int, *, seed: int, step: int) -> list[int]:
    """One timestep from each of `count` equal parts of the schedule, in random order: uniform, with less variance."""
    parts = shuffled(count, seed, step, "strata")
    within = uniform((count,), seed, step, "timesteps").tolist()
    return [min(int((part + u) / count * steps), steps - 1) for part, u in zip(parts, within, strict=True)]


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A variance-preserving noise schedule: x_t = sqrt(a_t) x_0 + sqrt(1 - a_t) e (Ho et al. 2020, arXiv 2006.11239)."""

    alphas_cumprod_T: Tensor
    """a_t, float32 on the CPU; 0 at the end where the schedule has zero terminal SNR (Lin et al., arXiv 2305.08891)."""
    prediction: Prediction

    @property
    def steps(self) -> int:
        """How many timesteps there are."""
        return len(self.alphas_cumprod_T)

    def noisy(self, latents_BCHW: Tensor, noise_BCHW: Tensor, t_B: Tensor) -> Tensor:
        """The latents with the noise of their timesteps."""
        signal_B111, sigma_B111 = self._parts(t_B, latents_BCHW)
        return signal_B111 * latents_BCHW + sigma_B111 * noise_BCHW

    def target(self, latents_BCHW: Tensor, noise_BCHW: Tensor, t_B: Tensor) -> Tensor:
        """What the model should say: the noise, or the velocity (Salimans and Ho 2022, arXiv 2202.00512, appendix D)."""
        if self.prediction == "epsilon":
            return noise_BCHW
        signal_B111, sigma_B111 = self._parts(t_B, latents_BCHW)
        return signal_B111 * noise_BCHW - sigma_B111 * latents_BCHW

    def weight(self, t_B: Tensor, gamma: float | None) -> Tensor:
        """Loss weight of each timestep: 1, or min-SNR (Hang et al. 2023, arXiv 2303.09556, section 3.4)."""
        if gamma is None:
            return torch.ones(len(t_B), device=t_B.device)
        a_B = self.alphas_cumprod_T.to(t_B.device)[t_B]
        snr_B = a_B / (1.0 - a_B).clamp_min(1e-12)
        if self.prediction == "epsilon":
            return torch.where(snr_B > gamma, gamma / snr_B.clamp_min(1e-12), 1.0)
        return snr_B.clamp_max(gamma) / (snr_B + 1.0)

    def _parts(self, t_B: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        a_B111 = self.alphas_cumprod_T.to(like.device)[t_B.to(like.device)].to(like.dtype).view(-1, 1, 1, 1)
        return a_B111.sqrt(), (1.0 - a_B111).sqrt()


def zero_terminal(alphas_cumprod_T: Tensor) -> Tensor:
    """The schedule shifted and scaled so that nothing of the picture is left at its end (arXiv 2305.08891, algorithm 1)."""
    root_T = alphas_cumprod_T.sqrt()
    first, last = root_T[0].clone(), root_T[-1].clone()
    return ((root_T - last) * first / (first - last)) ** 2
