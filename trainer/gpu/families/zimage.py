"""Z-Image: the stock ZImagePipeline, a flow model of one stream with hidden states of Qwen3, each text of its own length.

The denoiser's clock runs backwards (1 is the clean picture) and it says the velocity from noise to picture; both are turned
round here. Shapes as in `family`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import ZImagePipeline
from PIL import Image
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from storage.domain.plan import Fit
from trainer.gpu.families import stock
from trainer.gpu.families.family import Drawing, Posteriors, Targets, Words, Worn
from trainer.gpu.families.fingerprints import of_encoders
from trainer.gpu.families.flux import size_dependent
from trainer.gpu.pictures import Framing, Shape, shapes
from trainer.gpu.schedules import Flow

_ATTENTION = ("attention.to_q", "attention.to_k", "attention.to_v", "attention.to_out.0")
_FEED_FORWARD = ("feed_forward.w1", "feed_forward.w2", "feed_forward.w3")
_PRESETS: dict[str, tuple[str, ...]] = {"attention": _ATTENTION, "attention+ff": (*_ATTENTION, *_FEED_FORWARD)}
MAX_TOKENS = 512


class ZImage:
    """One loaded base of the Z-Image class; see `family.Base` for what each part is."""

    def __init__(self, source: str, fit: Fit) -> None:
        """Raises `OSError` where there is no such model. Only safetensors are read, and no code of the model's."""
        self.device = torch.device(fit.device)
        self._dtype = torch.bfloat16 if fit.precision == "bf16" else torch.float32
        self._pipeline = stock.loaded(ZImagePipeline, source, fit, self._dtype)
        self._wears = False
        self.schedule = Flow(shift=size_dependent(self._pipeline.scheduler.config))
        self.vae_sha256 = stock.fingerprint(self._pipeline.vae)
        self.words_sha256 = of_encoders(self._pipeline)

    @property
    def denoiser(self) -> nn.Module:
        return self._pipeline.transformer

    @property
    def parts(self) -> dict[str, nn.Module]:
        return stock.parts(self._pipeline)

    def trainee(self) -> nn.Module:
        self.wear(None)
        return stock.copied(self._pipeline.transformer)

    def shapes(self, resolution: int) -> tuple[Shape, ...]:
        step = self._pipeline.vae_scale_factor * 2
        return shapes(resolution, max(step, 64) if resolution >= 512 else step)

    @torch.no_grad()
    def posteriors(self, pixels_B3HW: Tensor) -> Posteriors:
        vae = self._pipeline.vae
        said = vae.encode(pixels_B3HW.to(self.device, torch.float32)).latent_dist
        return Posteriors(
            mean_BCHW=((said.mean - vae.config.shift_factor) * vae.config.scaling_factor).float(),
            std_BCHW=(said.std * vae.config.scaling_factor).float(),
        )

    def encode_pictures(self, pixels_B3HW: Tensor) -> Tensor:
        return self.posteriors(pixels_B3HW).mean_BCHW

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

    def lora_targets(self, targets: Targets) -> tuple[str, ...]:
        return stock.targets(self._pipeline.transformer, _PRESETS, targets, "Z-Image")

    def wear(self, file: Path | None) -> dict[str, Worn]:
        if self._wears:
            self._pipeline.unload_lora_weights()
        self._wears = file is not None
        return {} if file is None else stock.wear(self._pipeline, self._pipeline.transformer, file)

    def weigh(self, scale: float) -> None:
        self._pipeline.set_adapters([stock.ADAPTER], [scale])

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
