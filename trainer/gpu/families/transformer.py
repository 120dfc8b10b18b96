"""What FLUX.1, FLUX.2 and Z-Image do alike: a flow model whose denoiser is a transformer over 2 x 2 latent pixels.

Shapes as in `family`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from storage.domain.plan import Fit
from trainer.gpu.families import stock
from trainer.gpu.families.family import Posteriors, Targets
from trainer.gpu.families.pipeline import Pipeline, dtype_of
from trainer.gpu.schedules import Flow, Shift

Presets = Mapping[str, tuple[str, ...]]


class Transformer(Pipeline):
    """One loaded base of a flow model; see `family.Base` for what each part is."""

    DENOISER = "transformer"
    STOCK: ClassVar[Any]
    """Its pipeline in diffusers."""
    TITLE: ClassVar[str]
    """What people call the family."""
    PRESETS: ClassVar[Presets]
    """Endings of the layers that carry an adapter."""

    schedule: Flow

    def __init__(self, source: str, fit: Fit) -> None:
        """Raises `OSError` where there is no such model. Only safetensors are read, and no code of the model's."""
        super().__init__(stock.loaded(self.STOCK, source, fit, dtype_of(fit)), fit)
        self.schedule = Flow(shift=self._shift(self._pipeline.scheduler.config))

    def _shift(self, config: Any) -> Shift:  # noqa: ANN401 -- diffusers ships no types
        return size_dependent(config)

    @property
    def _step(self) -> int:
        return int(self._pipeline.vae_scale_factor) * 2

    @torch.no_grad()
    def posteriors(self, pixels_B3HW: Tensor) -> Posteriors:
        vae = self._pipeline.vae
        said = vae.encode(pixels_B3HW.to(self.device, torch.float32)).latent_dist
        return Posteriors(
            mean_BCHW=((said.mean - vae.config.shift_factor) * vae.config.scaling_factor).float(),
            std_BCHW=(said.std * vae.config.scaling_factor).float(),
        )

    def lora_targets(self, targets: Targets) -> tuple[str, ...]:
        return stock.targets(self.denoiser, self.PRESETS, targets, self.TITLE)


def size_dependent(config: Any) -> Shift:  # noqa: ANN401 -- diffusers ships no types
    """The shift of a scheduler's configuration, as the stock pipelines of FLUX.1 and Z-Image draw with it."""
    if not config.use_dynamic_shifting:
        return Shift.constant(config.shift)
    return Shift(
        least=config.base_shift,
        most=config.max_shift,
        least_tokens=config.base_image_seq_len,
        most_tokens=config.max_image_seq_len,
        latents_per_token=4,
    )
