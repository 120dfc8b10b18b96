"""Random numbers that belong to a step.

Every random choice of step k comes from a generator seeded by (run seed, step, what it is for). So a resumed run draws
what the uninterrupted one would have drawn, and nothing of a generator's state has to be kept. All draws are made on the
CPU: a GPU run sees the same numbers.

Shapes: C latent channels, H x W latents.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor


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
