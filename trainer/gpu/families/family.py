"""What a family of base models is to the rest of the child: a few nouns, and nothing else is asked of it.

Pictures become latents, texts become words, noise has a schedule, the denoiser predicts, LoRAs have targets, prompts are
drawn. Shapes: B pictures, C latent channels, H x W latents, L tokens, D and P widths.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import torch
from PIL import Image
from torch import Tensor, nn

from trainer.gpu.pictures import Framing, Shape
from trainer.gpu.schedules import Schedule

Targets = Literal["attention", "attention+ff", "attention+ff+conv"]


@dataclass(frozen=True, kw_only=True)
class Words:
    """Encoded texts."""

    hidden_BLD: Tensor
    pooled_BP: Tensor | None = None
    """One vector a text, where the family has it."""
    mask_BL: Tensor | None = None
    """True for tokens that are there, where texts keep their own length; None where all L count."""

    def of(self, at: slice) -> Words:
        """Some of the texts."""
        return Words(
            hidden_BLD=self.hidden_BLD[at],
            pooled_BP=None if self.pooled_BP is None else self.pooled_BP[at],
            mask_BL=None if self.mask_BL is None else self.mask_BL[at],
        )

    @property
    def pooled(self) -> Tensor:
        """`pooled_BP` of a family that always has it."""
        if self.pooled_BP is None:
            raise TypeError("these words have no pooled vector")
        return self.pooled_BP


def stacked(words: Sequence[Words]) -> Words:
    """Several texts of one family as one batch; texts of their own length are filled up with zeros."""
    length = max(w.hidden_BLD.shape[1] for w in words)
    pooled = [w.pooled_BP for w in words if w.pooled_BP is not None]
    masks = [_filled(w.mask_BL, length) for w in words if w.mask_BL is not None]
    return Words(
        hidden_BLD=torch.cat([_filled(w.hidden_BLD, length) for w in words]),
        pooled_BP=torch.cat(pooled) if pooled else None,
        mask_BL=torch.cat(masks) if masks else None,
    )


def _filled(of_texts: Tensor, length: int) -> Tensor:
    """With zeros behind the tokens (B, L, ...) up to the length."""
    missing = length - of_texts.shape[1]
    if not missing:
        return of_texts
    return torch.cat([of_texts, of_texts.new_zeros(len(of_texts), missing, *of_texts.shape[2:])], dim=1)


@dataclass(frozen=True, kw_only=True)
class Posteriors:
    """Latents of pictures as independent normal numbers (Kingma and Welling 2014, arXiv 1312.6114, appendix C.2)."""

    mean_BCHW: Tensor
    std_BCHW: Tensor


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
    vae_sha256: str
    """Of the autoencoder's weights: latents of another one are useless."""
    words_sha256: str
    """Of the text encoders as loaded: what another one heard is useless (`fingerprints.of_encoders`)."""

    @property
    def schedule(self) -> Schedule:
        """Of training: how noise is mixed in, and what is to be said about it."""

    @property
    def denoiser(self) -> nn.Module:
        """The frozen denoiser that draws; it never carries a training adapter."""

    @property
    def parts(self) -> Mapping[str, nn.Module]:
        """All networks of the base by their names in its pipeline: vae, text_encoder, text_encoder_2, unet or transformer."""

    def trainee(self) -> nn.Module:
        """A copy of the denoiser for training."""

    def shapes(self, resolution: int) -> tuple[Shape, ...]:
        """Shapes that training pictures may have."""

    def posteriors(self, pixels_B3HW: Tensor) -> Posteriors:
        """Pixels in [-1, 1] to what the autoencoder says of their latents, scaled as the denoiser wants them; float32."""

    def encode_texts(self, texts: Sequence[str]) -> Words:
        """Texts to what the denoiser is conditioned on; the empty text as sampling without a prompt has it."""

    def predict(
        self, denoiser: nn.Module, noisy_BCHW: Tensor, t_B: Tensor, words: Words, framing: Sequence[Framing]
    ) -> Tensor:
        """What the denoiser says about noisy latents, as `schedule.target` means it, float32.

        `denoiser` is this base's own or its trainee. `framing` says how each of the B pictures was cut: SDXL is told.
        """

    def lora_targets(self, targets: Targets) -> tuple[str, ...]:
        """Paths of the denoiser's modules that carry an adapter, sorted. Raises `ValueError` for a preset it lacks."""

    def wear(self, file: Path | None) -> dict[str, Worn]:
        """Loads a LoRA file as any user's program would and says what was loaded; None takes it off."""

    def weigh(self, scale: float) -> None:
        """Sets the strength of the worn file."""

    def draw(
        self, drawings: Sequence[Drawing], negative: Words, *, shape: Shape, steps: int, guidance: float
    ) -> list[Image.Image]:
        """Draws pictures with the stock sampler, wearing what is worn."""


@runtime_checkable
class Teachable(Base, Protocol):
    """A base whose text encoders can learn too. Their modules are named `<encoder>.<path>`, as in `storage.lora_file`."""

    @property
    def speaks_as_worn(self) -> bool:
        """Whether the worn file has changed the text encoders: texts have to be encoded anew."""

    def students(self) -> dict[str, nn.Module]:
        """Copies of the text encoders for training, over the same weights, by name."""

    def word_targets(self, targets: Targets) -> tuple[str, ...]:
        """Modules of the text encoders that carry an adapter, sorted; none that no prediction depends on."""

    def hear(self, encoders: Mapping[str, nn.Module], texts: Sequence[str]) -> Words:
        """Texts as these encoders say them, gradients and all."""


def teachable(base: Base) -> Teachable | None:
    """The base, where its text encoders can learn."""
    return base if isinstance(base, Teachable) else None


def adapted(base: Base, targets: Targets, *, words: bool) -> tuple[str, ...]:
    """All modules that carry an adapter, those of the text encoders too where they learn. Raises `ValueError`."""
    paths = base.lora_targets(targets)
    if not words:
        return paths
    taught = teachable(base)
    if taught is None:
        raise ValueError("the text encoders of this base model cannot be trained")
    return (*paths, *taught.word_targets(targets))
