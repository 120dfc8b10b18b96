"""SDXL, the pocket, and all of their class: the stock StableDiffusionXLPipeline with two text encoders.

Shapes as in `family`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionXLPipeline
from torch import Tensor, nn

from storage.domain.plan import Fit
from trainer.gpu.families import single, stock
from trainer.gpu.families.family import Words
from trainer.gpu.families.pipeline import dtype_of
from trainer.gpu.families.unet import Unet, tokens
from trainer.gpu.pictures import Framing, Shape

_UNWATERMARKED = {"force_zeros_for_empty_prompt": False, "add_watermarker": False}


class Sdxl(Unet):
    """One loaded base of the SDXL class; see `family.Base` for what each part is."""

    def __init__(self, source: str, fit: Fit, *, squares_only: bool = False, config: Path | None = None) -> None:
        """From a folder, hub id or single file; `config` as in `single.loaded`. Raises `WrongBase`.

        The empty text is encoded, as ComfyUI and sd-scripts do; A1111 and Forge put zeros for an empty negative prompt.
        """
        dtype = dtype_of(fit)
        if single.is_file(source):
            pipeline = single.loaded(
                StableDiffusionXLPipeline, "sdxl", source, fit, dtype, config=config, **_UNWATERMARKED
            )
        else:
            pipeline = stock.loaded(StableDiffusionXLPipeline, source, fit, dtype, denoiser="unet", **_UNWATERMARKED)
        super().__init__(pipeline, fit)
        self._squares_only = squares_only

    def shapes(self, resolution: int) -> tuple[Shape, ...]:
        if not self._squares_only:
            return super().shapes(resolution)
        side = max(resolution // self._step * self._step, self._step)
        return (Shape(height=side, width=side),)

    def hear(self, encoders: Mapping[str, nn.Module], texts: Sequence[str]) -> Words:
        """Both encoders' last but one layer side by side; the pooled vector is the second one's."""
        hidden, pooled_BP = [], None
        for name, encoder in encoders.items():
            tokenizer = getattr(self._pipeline, name.replace("text_encoder", "tokenizer"))
            said = encoder(tokens(tokenizer, texts, self.device), output_hidden_states=True)
            hidden.append(said.hidden_states[-2])
            pooled_BP = said[0]
        return Words(hidden_BLD=torch.cat(hidden, dim=-1), pooled_BP=pooled_BP)

    def _unheard(self) -> tuple[str, ...]:
        """The first encoder's last layer: its last but one is heard, and its pooled vector by nobody."""
        last = self._pipeline.text_encoder.config.num_hidden_layers - 1
        return (f"text_encoder.encoder.layers.{last}.", f"text_encoder.text_model.encoder.layers.{last}.")

    def predict(
        self, denoiser: nn.Module, noisy_BCHW: Tensor, t_B: Tensor, words: Words, framing: Sequence[Framing]
    ) -> Tensor:
        sizes_B6 = torch.tensor([_sizes(one) for one in framing], device=self.device)
        added = {"text_embeds": words.pooled.to(self._dtype), "time_ids": sizes_B6.to(self._dtype)}
        out = denoiser(
            noisy_BCHW.to(self._dtype),
            t_B,
            encoder_hidden_states=words.hidden_BLD.to(self._dtype),
            added_cond_kwargs=added,
            return_dict=False,
        )
        prediction: Tensor = out[0]
        return prediction.float()

    def _asked(self, words: Sequence[Words], negative: Words | None) -> dict[str, Any]:
        asked = {
            "prompt_embeds": torch.cat([one.hidden_BLD for one in words]),
            "pooled_prompt_embeds": torch.cat([one.pooled for one in words]),
        }
        if negative is not None:
            asked["negative_prompt_embeds"] = negative.hidden_BLD.expand(len(words), -1, -1)
            asked["negative_pooled_prompt_embeds"] = negative.pooled.expand(len(words), -1)
        return asked


def _sizes(framing: Framing) -> tuple[int, int, int, int, int, int]:
    """The six numbers that SDXL is told: original size, corner of the cut, size (Podell et al. 2023, section 2.2)."""
    return (*framing.original, *framing.corner, framing.shape.height, framing.shape.width)
