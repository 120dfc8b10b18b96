"""How much noise belongs to a timestep, and what a model should say there: the objective, apart from any family.

Timesteps are whole numbers from 0 (all but clean) to `steps` - 1 for every family. `Diffusion` mixes by variance, `Flow`
along a straight line.

Shapes: B pictures, C latent channels, H x W latents, T timesteps of the schedule.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

Prediction = Literal["epsilon", "v_prediction"]


class Schedule(Protocol):
    """The objective of one base model."""

    @property
    def steps(self) -> int:
        """How many timesteps there are."""

    def noisy(self, latents_BCHW: Tensor, noise_BCHW: Tensor, t_B: Tensor) -> Tensor:
        """The latents with the noise of their timesteps."""

    def target(self, latents_BCHW: Tensor, noise_BCHW: Tensor, t_B: Tensor) -> Tensor:
        """What the model should say."""

    def weight(self, t_B: Tensor, gamma: float | None) -> Tensor:
        """Loss weight of each timestep; `gamma` is min-SNR's. Raises `ValueError` where the schedule has no such weight."""


@dataclass(frozen=True, kw_only=True)
class Diffusion:
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
        """What the model should say: the noise e, or the velocity v = sqrt(a_t) e - sqrt(1 - a_t) x_0.

        The latter from Salimans and Ho 2022, arXiv 2202.00512, appendix D.
        """
        if self.prediction == "epsilon":
            return noise_BCHW
        signal_B111, sigma_B111 = self._parts(t_B, latents_BCHW)
        return signal_B111 * noise_BCHW - sigma_B111 * latents_BCHW

    def weight(self, t_B: Tensor, gamma: float | None) -> Tensor:
        """Loss weight of each timestep: 1, or min-SNR (Hang et al. 2023, arXiv 2303.09556, section 3.4).

        With SNR = a_t / (1 - a_t) that is min(SNR, gamma) / SNR for the noise, min(SNR, gamma) / (SNR + 1) for the velocity:
        both weigh the error of the picture x_0 by min(SNR, gamma).
        """
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


@dataclass(frozen=True, kw_only=True)
class Shift:
    """Where a flow model spends its timesteps: u / (1 - u) is multiplied by a factor that may grow with the picture.

    Esser et al. 2024 (arXiv 2403.03206), section 5.3.2, equation 23: larger pictures need more noise for the same doubt.
    Two shifts after each other are one whose factor is the product, so a density may shift further.
    """

    least: float = 0.0
    """Logarithm of the factor at `least_tokens`."""
    most: float = 0.0
    """Logarithm of the factor at `most_tokens`; between and beyond them it is a straight line."""
    least_tokens: int = 256
    most_tokens: int = 4096
    latents_per_token: int = 1
    """Latent pixels that the denoiser takes as one token."""

    @classmethod
    def constant(cls, factor: float) -> Shift:
        """The same factor at every size."""
        return cls(least=math.log(factor), most=math.log(factor))

    def factor(self, height: int, width: int) -> float:
        """For latents of this size."""
        tokens = height * width / self.latents_per_token
        slope = (self.most - self.least) / (self.most_tokens - self.least_tokens)
        return math.exp(self.least + slope * (tokens - self.least_tokens))


@dataclass(frozen=True, kw_only=True)
class Flow:
    """A rectified flow: x = (1 - s) x_0 + s e, and the model says dx/ds = e - x_0.

    Liu et al. 2022 (arXiv 2209.03003), equation 1; Lipman et al. 2023 (arXiv 2210.02747), section 4.1.
    """

    shift: Shift
    steps: int = 1000

    def sigma(self, t_B: Tensor, like: Tensor) -> Tensor:
        """The share of noise of each timestep (B,), float32: (t + 1) / steps shifted for the size of these latents (..., H, W)."""
        factor = self.shift.factor(int(like.shape[-2]), int(like.shape[-1]))
        u_B = (t_B.to(like.device, torch.float32) + 1.0) / self.steps
        return factor * u_B / (1.0 + (factor - 1.0) * u_B)

    def noisy(self, latents_BCHW: Tensor, noise_BCHW: Tensor, t_B: Tensor) -> Tensor:
        """The latents with the noise of their timesteps."""
        sigma_B111 = self.sigma(t_B, latents_BCHW).to(latents_BCHW.dtype).view(-1, 1, 1, 1)
        return (1.0 - sigma_B111) * latents_BCHW + sigma_B111 * noise_BCHW

    def target(self, latents_BCHW: Tensor, noise_BCHW: Tensor, t_B: Tensor) -> Tensor:  # noqa: ARG002 -- same everywhere
        """The velocity from picture to noise."""
        return noise_BCHW - latents_BCHW

    def weight(self, t_B: Tensor, gamma: float | None) -> Tensor:
        """1 everywhere. Raises `ValueError` for min-SNR, which is defined for diffusion schedules."""
        if gamma is not None:
            raise ValueError("min-SNR weights belong to diffusion models, not to flow models")
        return torch.ones(len(t_B), device=t_B.device)
