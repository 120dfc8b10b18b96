"""Z-Image: the stock ZImagePipeline, a flow model of one stream with hidden states of Qwen3, each text of its own length.

The denoiser's clock runs backwards (1 is the clean picture) and it says the velocity from noise to picture; both are turned
round here. Shapes as in `family`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers import ZImagePipeline
from PIL import Image
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from trainer.gpu.families import stock
from trainer.gpu.families.family import Drawing, Words
from trainer.gpu.families.transformer import Presets, Transformer
from trainer.gpu.pictures import Framing, Shape

_ATTENTION = ("attention.to_q", "attention.to_k", "attention.to_v", "attention.to_out.0")
_FEED_FORWARD = ("feed_forward.w1", "feed_forward.w2", "feed_forward.w3")
_PRESETS: Presets = {"attention": _ATTENTION, "attention+ff": (*_ATTENTION, *_FEED_FORWARD)}
MAX_TOKENS = 512


class ZImage(Transformer):
    """One loaded base of the Z-Image class; see `family.Base` for what each part is."""

    STOCK = ZImagePipeline
    TITLE = "Z-Image"
    PRESETS = _PRESETS

    @torch.no_grad()
    def encode_texts(self, texts: Sequence[str]) -> Words:
        found, _ = self._pipeline.encode_prompt(
            list(texts),
            device=self.device,
            do_classifier_free_guidance=False,
            max_sequence_length=min(MAX_TOKENS, self._pipeline.tokenizer.model_max_length),
        )
        there = [torch.ones(len(one_LD), dtype=torch.bool, device=self.device) for one_LD in found]
        return Words(hidden_BLD=pad_sequence(found, batch_first=True), mask_BL=pad_sequence(there, batch_first=True))

    def predict(
        self,
        denoiser: nn.Module,
        noisy_BCHW: Tensor,
        t_B: Tensor,
        words: Words,
        framing: Sequence[Framing],  # noqa: ARG002 -- Z-Image is not told
    ) -> Tensor:
        one_frame_BCFHW = noisy_BCHW.to(self._dtype).unsqueeze(2)
        out = denoiser(
            list(one_frame_BCFHW.unbind(0)),
            1.0 - self.schedule.sigma(t_B, noisy_BCHW),
            [one_LD.to(self._dtype) for one_LD in _own_length(words)],
            return_dict=False,
        )
        return -torch.stack(out[0]).squeeze(2).float()

    @torch.no_grad()
    def draw(
        self, drawings: Sequence[Drawing], negative: Words, *, shape: Shape, steps: int, guidance: float
    ) -> list[Image.Image]:
        factor, vae = self._pipeline.vae_scale_factor, self._pipeline.vae.config
        size = (self._pipeline.transformer.in_channels, shape.height // factor, shape.width // factor)
        latents_BCHW = self._pipeline(
            prompt_embeds=[one_LD for drawing in drawings for one_LD in _own_length(drawing.words)],
            negative_prompt_embeds=_own_length(negative) * len(drawings),
            latents=stock.seeded_noise(drawings, size).to(self.device),
            height=shape.height,
            width=shape.width,
            num_inference_steps=steps,
            guidance_scale=max(0.0, guidance - 1.0),  # its 0 is what other pipelines call 1: no guidance
            output_type="latent",
        ).images
        return stock.decoded(self._pipeline, latents_BCHW / vae.scaling_factor + vae.shift_factor)


def _own_length(words: Words) -> list[Tensor]:
    """Each text's tokens (L, D) without the filling."""
    if words.mask_BL is None:
        return list(words.hidden_BLD)
    return [one_LD[there_L] for one_LD, there_L in zip(words.hidden_BLD, words.mask_BL, strict=True)]
