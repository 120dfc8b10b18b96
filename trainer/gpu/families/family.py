"""What a family of base models is to the rest of the child: six nouns, and nothing else is asked of it.

Pictures become latents, texts become words, noise has a schedule, the denoiser predicts, LoRAs have targets, prompts are
drawn. Shapes: B pictures, C latent channels, H x W latents, L tokens, D and P widths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import torch
from PIL import Image
from torch import Tensor, nn

from trainer.gpu.noise import Schedule
from trainer.gpu.pictures import Shape

Targets = Literal["attention", "attention+ff", "attention+ff+conv"]


@dataclass(frozen=True, kw_only=True)
class Words:
    """Encoded texts."""

    hidden_BLD: Tensor
    pooled_BP: Tensor


def stacked(words: Sequence[Words]) -> Words:
    """Several texts as one batch."""
    return Words(hidden_BLD=torch.cat([w.hidden_BLD for w in words]), pooled_BP=torch.cat([w.pooled_BP for w in words]))


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """One picture to draw."""

    words: Words
    seed: int
    """Of the initial noise alone, drawn on the CPU: what other programs draw for the same seed."""


@dataclass(frozen=True, kw_only=True)
class Worn:
    """One module of a LoRA file as the base has loaded it."""

    down: Tensor
    up: Tensor
    scaling: float
    """Effective alpha over rank."""


class Base(Protocol):
    """One loaded base model."""

    device: torch.device
    schedule: Schedule
    vae_sha256: str
    """Of the autoencoder's weights: latents of another one are useless."""

    @property
    def denoiser(self) -> nn.Module:
        """The frozen denoiser that draws; it never carries a training adapter."""

    def trainee(self) -> nn.Module:
        """A copy of the denoiser for training."""

    def shapes(self, resolution: int) -> tuple[Shape, ...]:
        """Shapes that training pictures may have."""

    def encode_pictures(self, pixels_B3HW: Tensor) -> Tensor:
        """Pixels in [-1, 1] to latents, scaled as the denoiser wants them; float32."""

    def encode_texts(self, texts: Sequence[str]) -> Words:
        """Texts to what the denoiser is conditioned on; the empty text as sampling without a prompt has it."""

    def predict(self, denoiser: nn.Module, noisy_BCHW: Tensor, t_B: Tensor, words: Words, sizes_B6: Tensor) -> Tensor:
        """What the denoiser says about noisy latents, float32; `denoiser` is this base's own or its trainee."""

    def lora_targets(self, targets: Targets) -> tuple[str, ...]:
        """Paths of the denoiser's modules that carry an adapter, sorted."""

    def wear(self, file: Path | None) -> dict[str, Worn]:
        """Loads a LoRA file as any user's program would and says what was loaded; None takes it off."""

    def weigh(self, scale: float) -> None:
        """Sets the strength of the worn file."""

    def draw(
        self, drawings: Sequence[Drawing], negative: Words, *, shape: Shape, steps: int, guidance: float
    ) -> list[Image.Image]:
        """Draws pictures with the stock sampler, wearing what is worn."""
