"""FLUX.2 klein, base (not distilled): the stock Flux2KleinPipeline, a flow model with hidden states of Qwen3.

Latents are the autoencoder's, folded 2 x 2 into channels and normalised by the autoencoder's batch norm; each latent pixel
is one token. Shapes as in `family`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from diffusers import Flux2KleinPipeline
from diffusers.pipelines.flux2.pipeline_flux2_klein import compute_empirical_mu
from PIL import Image
from torch import Tensor, nn

from storage.domain.plan import Fit
from trainer.gpu.families import stock
from trainer.gpu.families.family import Drawing, Posteriors, Words
from trainer.gpu.families.transformer import Presets, Transformer
from trainer.gpu.pictures import Framing, Shape
from trainer.gpu.schedules import Shift

_ATTENTION = (
    *("attn.to_q", "attn.to_k", "attn.to_v", "attn.to_out.0"),
    *("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj", "attn.to_add_out"),
    *("attn.to_qkv_mlp_proj", "attn.to_out"),
)
_FEED_FORWARD = ("ff.linear_in", "ff.linear_out", "ff_context.linear_in", "ff_context.linear_out")
_PRESETS: Presets = {"attention": _ATTENTION, "attention+ff": (*_ATTENTION, *_FEED_FORWARD)}
"""Single blocks have attention and feed-forward in one matrix: they come with attention, as in diffusers' klein script."""
MAX_TOKENS = 512
SAMPLER_STEPS = 50
"""The stock pipeline's default; its shift depends on how many steps are drawn."""


class Flux2Klein(Transformer):
    """One loaded base of the FLUX.2 klein class; see `family.Base` for what each part is."""

    STOCK = Flux2KleinPipeline
    TITLE = "FLUX.2 klein"
    PRESETS = _PRESETS

    def __init__(self, source: str, fit: Fit) -> None:
        """As `Transformer`; raises `WrongBase` for the distilled one too."""
        super().__init__(source, fit)
        if self._pipeline.config.is_distilled:
            raise stock.WrongBase(
                "this FLUX.2 klein is the distilled one: train the base model, and use the file on both"
            )

    def _shift(self, config: Any) -> Shift:  # noqa: ANN401 -- diffusers ships no types
        return _shift(config)

    @torch.no_grad()
    def posteriors(self, pixels_B3HW: Tensor) -> Posteriors:
        vae = self._pipeline.vae
        said = vae.encode(pixels_B3HW.to(self.device, torch.float32)).latent_dist
        fold = Flux2KleinPipeline._patchify_latents  # noqa: SLF001 -- as diffusers' own scripts
        mean_1C11 = vae.bn.running_mean.view(1, -1, 1, 1)
        std_1C11 = (vae.bn.running_var.view(1, -1, 1, 1) + vae.config.batch_norm_eps).sqrt()
        return Posteriors(
            mean_BCHW=((fold(said.mean) - mean_1C11) / std_1C11).float(), std_BCHW=(fold(said.std) / std_1C11).float()
        )

    @torch.no_grad()
    def encode_texts(self, texts: Sequence[str]) -> Words:
        hidden_BLD, _ = self._pipeline.encode_prompt(
            list(texts),
            device=self.device,
            max_sequence_length=min(MAX_TOKENS, self._pipeline.tokenizer.model_max_length),
            text_encoder_out_layers=self._heard_layers(),
        )
        return Words(hidden_BLD=hidden_BLD)

    def predict(
        self,
        denoiser: nn.Module,
        noisy_BCHW: Tensor,
        t_B: Tensor,
        words: Words,
        framing: Sequence[Framing],  # noqa: ARG002 -- FLUX.2 is not told
    ) -> Tensor:
        _, channels, height, width = noisy_BCHW.shape
        out = denoiser(
            hidden_states=noisy_BCHW.flatten(2).transpose(1, 2).to(self._dtype),
            timestep=self.schedule.sigma(t_B, noisy_BCHW),
            guidance=None,
            encoder_hidden_states=words.hidden_BLD.to(self._dtype),
            txt_ids=_positions(1, 1, words.hidden_BLD.shape[1]).to(self.device),
            img_ids=_positions(height, width, 1).to(self.device),
            return_dict=False,
        )
        return out[0].float().transpose(1, 2).reshape(-1, channels, height, width)

    @torch.no_grad()
    def draw(
        self, drawings: Sequence[Drawing], negative: Words, *, shape: Shape, steps: int, guidance: float
    ) -> list[Image.Image]:
        channels, factor = self._pipeline.transformer.config.in_channels, self._pipeline.vae_scale_factor * 2
        noise_BCHW = stock.seeded_noise(drawings, (channels, shape.height // factor, shape.width // factor))
        latents_BCHW = self._pipeline(
            prompt_embeds=torch.cat([drawing.words.hidden_BLD for drawing in drawings]),
            negative_prompt_embeds=negative.hidden_BLD.expand(len(drawings), -1, -1),
            latents=noise_BCHW.to(self.device, self._dtype),
            height=shape.height,
            width=shape.width,
            num_inference_steps=steps,
            guidance_scale=guidance,
            output_type="latent",
        ).images
        return stock.decoded(self._pipeline, latents_BCHW)

    def _heard_layers(self) -> tuple[int, int, int]:
        """Layers of the text encoder that the denoiser hears: a quarter, half and three quarters; 9, 18, 27 of 36."""
        layers = self._pipeline.text_encoder.config.num_hidden_layers
        return layers // 4, layers // 2, 3 * layers // 4


def _positions(height: int, width: int, tokens: int) -> Tensor:
    """(time, row, column, token) of every place, (N, 4): pictures lie in rows and columns, texts along the last."""
    return torch.cartesian_prod(torch.arange(1), torch.arange(height), torch.arange(width), torch.arange(tokens))


def _shift(config: Any) -> Shift:  # noqa: ANN401 -- diffusers ships no types
    """The stock pipeline's measured line, up to its end at 4300 tokens (1049 px); it goes on straight there."""
    if not config.use_dynamic_shifting:
        return Shift.constant(config.shift)
    least, most = (compute_empirical_mu(tokens, SAMPLER_STEPS) for tokens in (256, 4096))
    return Shift(least=least, most=most, least_tokens=256, most_tokens=4096, latents_per_token=1)
