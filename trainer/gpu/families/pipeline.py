"""What every base does alike with its stock pipeline: parts, a copy that learns, a LoRA file put on and weighed.

Shapes as in `family`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from storage.domain.plan import Fit
from trainer.gpu.families import stock
from trainer.gpu.families.family import Targets, Words, Worn
from trainer.gpu.families.fingerprints import of_encoders
from trainer.gpu.pictures import Framing, Shape, shapes
from trainer.gpu.schedules import Diffusion, Flow

COARSE_PX = 64
"""Sides of pictures of 512 px and more are multiples of so many px: SDXL was trained on them (Podell et al. 2023, appendix I),
four levels of SD 1.5 need them, and for all others it keeps buckets few."""


def dtype_of(fit: Fit) -> torch.dtype:
    """What a base computes in."""
    return torch.bfloat16 if fit.precision == "bf16" else torch.float32


class Pipeline(ABC):
    """One loaded base around a frozen stock pipeline; see `family.Base` for what each part is."""

    DENOISER: ClassVar[str]
    """What the denoiser is called in the pipeline."""

    schedule: Diffusion | Flow

    def __init__(self, pipeline: Any, fit: Fit) -> None:  # noqa: ANN401 -- diffusers ships no types
        """Of a frozen pipeline whose autoencoder is in fp32: SDXL's overflows in fp16, and bf16's rounding is visible."""
        self.device, self._dtype = torch.device(fit.device), dtype_of(fit)
        self._pipeline = pipeline
        self._wears = False
        self.vae_sha256 = stock.fingerprint(pipeline.vae)
        self.words_sha256 = of_encoders(pipeline)

    @property
    @abstractmethod
    def _step(self) -> int:
        """Sides of pictures are multiples of so many px."""

    @abstractmethod
    def predict(
        self, denoiser: nn.Module, noisy_BCHW: Tensor, t_B: Tensor, words: Words, framing: Sequence[Framing]
    ) -> Tensor:
        """See `family.Base`."""

    @abstractmethod
    def lora_targets(self, targets: Targets) -> tuple[str, ...]:
        """See `family.Base`."""

    @property
    def denoiser(self) -> nn.Module:
        found: nn.Module = getattr(self._pipeline, self.DENOISER)
        return found

    @property
    def parts(self) -> dict[str, nn.Module]:
        return stock.parts(self._pipeline)

    def trainee(self) -> nn.Module:
        self.wear(None)
        return stock.copied(self.denoiser)

    def shapes(self, resolution: int) -> tuple[Shape, ...]:
        return shapes(resolution, max(self._step, COARSE_PX) if resolution >= 512 else self._step)

    def wear(self, file: Path | None) -> dict[str, Worn]:
        if self._wears:
            self._pipeline.unload_lora_weights()
        self._wears = file is not None
        return {} if file is None else stock.wear(self._pipeline, self.denoiser, file)

    def weigh(self, scale: float) -> None:
        self._pipeline.set_adapters([stock.ADAPTER], [scale])
