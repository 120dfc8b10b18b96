"""FLUX.1-dev: the stock FluxPipeline, a flow model distilled for guidance, with CLIP's pooled vector and T5's tokens.

Shapes as in `family`; N tokens of a picture, each 2 x 2 latent pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers import FluxPipeline
from PIL import Image
from torch import Tensor, nn

from trainer.gpu.families import stock
from trainer.gpu.families.family import Drawing, Words
from trainer.gpu.families.transformer import Presets, Transformer
from trainer.gpu.pictures import Framing, Shape

_ATTENTION = (
    *("attn.to_q", "attn.to_k", "attn.to_v", "attn.to_out.0"),
    *("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj", "attn.to_add_out"),
)
_FEED_FORWARD = (
    *("ff.net.0.proj", "ff.net.2", "ff_context.net.0.proj", "ff_context.net.2"),
    *("proj_mlp", "proj_out"),
)
_PRESETS: Presets = {"attention": _ATTENTION, "attention+ff": (*_ATTENTION, *_FEED_FORWARD)}
"""`proj_out` of a single block takes attention and feed-forward together."""
TRAINING_GUIDANCE = 1.0
"""What the guidance embedding is told in training: at 1 the adapter does not unlearn the distilled guidance (diffusers'
README_flux and sd-scripts' flux_train_network.md train so). Pictures are drawn at the plan's guidance."""
MAX_TOKENS = 512
"""T5 tokens of the dev model."""


class Flux(Transformer):
    """One loaded base of the FLUX.1 class; see `family.Base` for what each part is."""

    STOCK = FluxPipeline
    TITLE = "FLUX.1"
    PRESETS = _PRESETS

    @torch.no_grad()
    def encode_texts(self, texts: Sequence[str]) -> Words:
        longest = min(MAX_TOKENS, self._pipeline.tokenizer_2.model_max_length)
        hidden_BLD, pooled_BP, _ = self._pipeline.encode_prompt(
            list(texts), device=self.device, max_sequence_length=longest
        )
        return Words(hidden_BLD=hidden_BLD, pooled_BP=pooled_BP)

    def predict(
        self,
        denoiser: nn.Module,
        noisy_BCHW: Tensor,
        t_B: Tensor,
        words: Words,
        framing: Sequence[Framing],  # noqa: ARG002 -- FLUX.1 is not told
    ) -> Tensor:
        count, channels, height, width = noisy_BCHW.shape
        packed_BNC = FluxPipeline._pack_latents(noisy_BCHW, count, channels, height, width)  # noqa: SLF001 -- as diffusers' own scripts
        guided = self._pipeline.transformer.config.guidance_embeds
        out = denoiser(
            hidden_states=packed_BNC.to(self._dtype),
            timestep=self.schedule.sigma(t_B, noisy_BCHW),
            guidance=torch.full((count,), TRAINING_GUIDANCE, device=self.device) if guided else None,
            pooled_projections=words.pooled.to(self._dtype),
            encoder_hidden_states=words.hidden_BLD.to(self._dtype),
            txt_ids=torch.zeros(words.hidden_BLD.shape[1], 3, device=self.device),
            img_ids=positions(height // 2, width // 2).to(self.device),
            return_dict=False,
        )
        return self._unpacked(out[0].float(), height, width)

    @torch.no_grad()
    def draw(
        self,
        drawings: Sequence[Drawing],
        negative: Words,  # noqa: ARG002 -- guidance is distilled: nothing is drawn against
        *,
        shape: Shape,
        steps: int,
        guidance: float,
    ) -> list[Image.Image]:
        factor, vae = self._pipeline.vae_scale_factor, self._pipeline.vae.config
        height, width = shape.height // factor, shape.width // factor
        noise_BCHW = stock.seeded_noise(drawings, (vae.latent_channels, height, width))
        packed_BNC = self._pipeline(
            prompt_embeds=torch.cat([drawing.words.hidden_BLD for drawing in drawings]),
            pooled_prompt_embeds=torch.cat([drawing.words.pooled for drawing in drawings]),
            latents=FluxPipeline._pack_latents(noise_BCHW, *noise_BCHW.shape).to(self.device, self._dtype),  # noqa: SLF001 -- as above
            height=shape.height,
            width=shape.width,
            num_inference_steps=steps,
            guidance_scale=guidance,
            output_type="latent",
        ).images
        latents_BCHW = self._unpacked(packed_BNC.float(), height, width)
        return stock.decoded(self._pipeline, latents_BCHW / vae.scaling_factor + vae.shift_factor)

    def _unpacked(self, packed_BNC: Tensor, height: int, width: int) -> Tensor:
        """Latents (B, C, height, width) of tokens."""
        factor = self._pipeline.vae_scale_factor
        latents_BCHW: Tensor = FluxPipeline._unpack_latents(packed_BNC, height * factor, width * factor, factor)  # noqa: SLF001 -- as above
        return latents_BCHW


def positions(height: int, width: int) -> Tensor:
    """(0, row, column) of every token of a picture, (N, 3)."""
    return torch.cartesian_prod(torch.zeros(1), torch.arange(height).float(), torch.arange(width).float())
