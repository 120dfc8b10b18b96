"""Stable Diffusion 1.5 and what people made of it: the stock StableDiffusionPipeline with one text encoder.

Shapes as in `family`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionPipeline
from torch import Tensor, nn

from storage.domain.plan import Fit
from trainer.gpu.families import single, stock
from trainer.gpu.families.family import Words
from trainer.gpu.families.pipeline import dtype_of
from trainer.gpu.families.unet import Unet, tokens
from trainer.gpu.pictures import Framing

_UNCHECKED = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
"""Its checker paints pictures black by mistake too; what may be shown where is the bot's to decide."""


class Sd15(Unet):
    """One loaded base of the SD 1.5 class; see `family.Base` for what each part is."""

    def __init__(self, source: str, fit: Fit, *, config: Path | None = None) -> None:
        """From a folder, hub id or single file; `config` as in `single.loaded`. Raises `WrongBase`."""
        dtype = dtype_of(fit)
        if single.is_file(source):
            pipeline = single.loaded(StableDiffusionPipeline, "sd15", source, fit, dtype, config=config, **_UNCHECKED)
        else:
            pipeline = stock.loaded(StableDiffusionPipeline, source, fit, dtype, denoiser="unet", **_UNCHECKED)
        super().__init__(pipeline, fit)

    def hear(self, encoders: Mapping[str, nn.Module], texts: Sequence[str]) -> Words:
        """The last layer, normalised."""
        ids_BL = tokens(self._pipeline.tokenizer, texts, self.device)
        return Words(hidden_BLD=encoders["text_encoder"](ids_BL)[0])

    def _unheard(self) -> tuple[str, ...]:
        return ()

    def predict(
        self,
        denoiser: nn.Module,
        noisy_BCHW: Tensor,
        t_B: Tensor,
        words: Words,
        framing: Sequence[Framing],  # noqa: ARG002 -- SD 1.5 is not told
    ) -> Tensor:
        out = denoiser(
            noisy_BCHW.to(self._dtype), t_B, encoder_hidden_states=words.hidden_BLD.to(self._dtype), return_dict=False
        )
        prediction: Tensor = out[0]
        return prediction.float()

    def _asked(self, words: Sequence[Words], negative: Words | None) -> dict[str, Any]:
        asked = {"prompt_embeds": torch.cat([one.hidden_BLD for one in words])}
        if negative is not None:
            asked["negative_prompt_embeds"] = negative.hidden_BLD.expand(len(words), -1, -1)
        return asked
