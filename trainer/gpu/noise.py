"""Random numbers that belong to a step.

Every random choice of step k comes from a generator seeded by (run seed, step, what it is for). So a resumed run draws
what the uninterrupted one would have drawn, and nothing of a generator's state has to be kept. All draws are made on the
CPU: a GPU run sees the same numbers.

Shapes: C latent channels, H x W latents.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor, nn

from storage.domain.plan import Plan

LAYERS = 10
"""Most coarser layers of pyramid noise, as in its source; four are enough for 128 latent pixels."""


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


def step_noise(shape: tuple[int, ...], plan: Plan, *, step: int, view: int) -> Tensor:
    """The noise of one view (C, H, W): white, with a constant of its own for each channel or coarser layers if planned.

    With an offset o it is e_chw + o d_c, e and d standard normal: a channel's mean then has the variance o^2 + 1 / (H W)
    instead of 1 / (H W) (Guttenberg 2023, crosslabs.org/blog/diffusion-with-offset-noise).
    """
    noise = normal(shape, plan.seed, step, f"noise-{view}")
    if plan.noise_offset:
        noise = noise + plan.noise_offset * normal((shape[0], 1, 1), plan.seed, step, f"offset-{view}")
    if plan.pyramid_noise:
        noise = pyramid(noise, plan.pyramid_noise, generator(plan.seed, step, f"pyramid-{view}"))
    return noise


def pyramid(noise_CHW: Tensor, discount: float, drawn: torch.Generator) -> Tensor:
    """White noise with ever coarser layers added, the i-th times discount^i, brought back to variance 1.

    Each layer is 2 to 4 times coarser than the one before, down to a single row or column, and stretched bilinearly (Whitaker
    2023, "Multi-Resolution Noise for Diffusion Model Training", wandb.ai/johnowhitaker/multires_noise).
    """
    channels, height, width = noise_CHW.shape
    total, high, wide, weight = noise_CHW, float(height), float(width), 1.0
    for _ in range(LAYERS):
        by = 2.0 + 2.0 * float(torch.rand((), generator=drawn))
        high, wide, weight = max(1.0, high / by), max(1.0, wide / by), weight * discount
        layer = torch.randn((1, channels, int(high), int(wide)), generator=drawn)
        total = total + weight * nn.functional.interpolate(layer, (height, width), mode="bilinear")[0]
        if int(high) == 1 or int(wide) == 1:
            break
    return total / total.std()


def stratified(count: int, *, seed: int, step: int) -> list[float]:
    """One number from each of `count` equal parts of [0, 1), in random order: uniform, with less variance."""
    parts = shuffled(count, seed, step, "strata")
    within = uniform((count,), seed, step, "timesteps").tolist()
    return [(part + u) / count for part, u in zip(parts, within, strict=True)]
