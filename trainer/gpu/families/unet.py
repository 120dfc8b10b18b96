"""What SD 1.5 and SDXL do alike: a UNet that denoises four-fold latents, and CLIP text encoders that may learn too.

Shapes as in `family`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from storage.domain.plan import Fit
from trainer.gpu.families import stock
from trainer.gpu.families.family import Drawing, Posteriors, Targets, Words, Worn
from trainer.gpu.families.pipeline import Pipeline
from trainer.gpu.pictures import Shape
from trainer.gpu.schedules import Diffusion, zero_terminal

_ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
_FEED_FORWARD = ("ff.net.0.proj", "ff.net.2", "proj_in", "proj_out")
_CONV = ("conv1", "conv2", "conv_shortcut")
_ENDINGS: dict[Targets, tuple[str, ...]] = {
    "attention": _ATTENTION,
    "attention+ff": (*_ATTENTION, *_FEED_FORWARD),
    "attention+ff+conv": (*_ATTENTION, *_FEED_FORWARD, *_CONV),
}
"""conv_in, conv_out, time and size embeddings never: sd-scripts does not know their names (facts on LoRA files)."""
_WORD_ATTENTION = ("q_proj", "k_proj", "v_proj", "out_proj")
_WORD_FEED_FORWARD = ("fc1", "fc2")
"""Of CLIP's text encoders: what sd-scripts adapts there."""


class Unet(Pipeline):
    """One loaded base with a UNet; see `family.Base` for what each part is."""

    DENOISER = "unet"
    schedule: Diffusion

    def __init__(self, pipeline: Any, fit: Fit) -> None:  # noqa: ANN401 -- diffusers ships no types
        super().__init__(pipeline, fit)
        if self.device.type == "cpu":
            pipeline.unet.to(memory_format=torch.channels_last)
        self._speaks_as_worn = False
        self._layers = _layers(pipeline.unet)
        self.schedule = schedule_of(pipeline.scheduler.config)

    @abstractmethod
    def hear(self, encoders: Mapping[str, nn.Module], texts: Sequence[str]) -> Words:
        """The texts as these encoders, by their names in the pipeline, say them; gradients flow where they are wanted."""

    @abstractmethod
    def _unheard(self) -> tuple[str, ...]:
        """Beginnings of modules of the text encoders that nothing which is heard depends on."""

    @abstractmethod
    def _asked(self, words: Sequence[Words], negative: Words | None) -> dict[str, Any]:
        """What the stock pipeline is called with for these words."""

    @property
    def _step(self) -> int:
        return int(self._pipeline.vae_scale_factor) * 2 ** (len(self._pipeline.unet.config.block_out_channels) - 1)

    @torch.no_grad()
    def posteriors(self, pixels_B3HW: Tensor) -> Posteriors:
        vae = self._pipeline.vae
        said = vae.encode(pixels_B3HW.to(self.device, torch.float32)).latent_dist
        mean_1C11, std_1C11 = self._latent_norm()
        return Posteriors(
            mean_BCHW=((said.mean - mean_1C11) / std_1C11 * vae.config.scaling_factor).float(),
            std_BCHW=(said.std / std_1C11 * vae.config.scaling_factor).float(),
        )

    @torch.no_grad()
    def encode_texts(self, texts: Sequence[str]) -> Words:
        return self.hear(self._encoders, texts)

    @property
    def _encoders(self) -> dict[str, nn.Module]:
        """The frozen text encoders, by their names in the pipeline."""
        named = {name: getattr(self._pipeline, name, None) for name in ("text_encoder", "text_encoder_2")}
        return {name: encoder for name, encoder in named.items() if encoder is not None}

    def lora_targets(self, targets: Targets) -> tuple[str, ...]:
        endings = tuple(f".{ending}" for ending in _ENDINGS[targets])
        return tuple(path for path in self._layers if path.endswith(endings))

    def wear(self, file: Path | None) -> dict[str, Worn]:
        self._speaks_as_worn = False
        worn = super().wear(file)
        if file is None:
            return worn
        said = {
            f"{name}.{path}": one
            for name, encoder in self._encoders.items()
            for path, one in stock.worn(encoder.eval()).items()
        }
        self._speaks_as_worn = bool(said)
        return worn | said

    @property
    def speaks_as_worn(self) -> bool:
        return self._speaks_as_worn

    def students(self) -> dict[str, nn.Module]:
        self.wear(None)
        return {name: stock.copied(encoder) for name, encoder in self._encoders.items()}

    def word_targets(self, targets: Targets) -> tuple[str, ...]:
        endings = _WORD_ATTENTION if targets == "attention" else (*_WORD_ATTENTION, *_WORD_FEED_FORWARD)
        named = {
            f"{name}.{path}": layer
            for name, encoder in self._encoders.items()
            for path, layer in encoder.named_modules()
        }
        heard = {path: layer for path, layer in named.items() if not path.startswith(self._unheard())}
        return tuple(
            sorted(path for path, layer in heard.items() if isinstance(layer, nn.Linear) and path.endswith(endings))
        )

    @torch.no_grad()
    def draw(
        self, drawings: Sequence[Drawing], negative: Words, *, shape: Shape, steps: int, guidance: float
    ) -> list[Image.Image]:
        unet, factor = self._pipeline.unet, self._pipeline.vae_scale_factor
        size = (unet.config.in_channels, shape.height // factor, shape.width // factor)
        latents_BCHW = self._pipeline(
            **self._asked([drawing.words for drawing in drawings], negative if guidance > 1.0 else None),
            latents=stock.seeded_noise(drawings, size).to(self.device, self._dtype),
            # ancestral samplers draw more noise at every step: from the picture's own seed, not from the process
            generator=[torch.Generator().manual_seed(drawing.seed) for drawing in drawings],
            height=shape.height,
            width=shape.width,
            num_inference_steps=steps,
            guidance_scale=guidance,
            output_type="latent",
        ).images
        mean_1C11, std_1C11 = self._latent_norm()
        latents_BCHW = latents_BCHW.float() / self._pipeline.vae.config.scaling_factor * std_1C11 + mean_1C11
        return stock.decoded(self._pipeline, latents_BCHW)

    def _latent_norm(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of latents where the autoencoder's file names them, else 0 and 1; (1, C, 1, 1)."""
        config = self._pipeline.vae.config
        mean = config.get("latents_mean") or [0.0]
        std = config.get("latents_std") or [1.0]
        return tuple(torch.tensor(x, device=self.device).view(1, -1, 1, 1) for x in (mean, std))  # type: ignore[return-value]


def tokens(tokenizer: Any, texts: Sequence[str], device: torch.device) -> Tensor:  # noqa: ANN401 -- no types
    """Ids of the texts (B, L), cut or filled to the tokenizer's length, as the stock pipelines do."""
    told = tokenizer(
        list(texts), padding="max_length", max_length=tokenizer.model_max_length, truncation=True, return_tensors="pt"
    )
    ids_BL: Tensor = told.input_ids
    return ids_BL.to(device)


def schedule_of(config: Any) -> Diffusion:  # noqa: ANN401 -- diffusers ships no types
    """The training schedule of a scheduler's configuration. Raises `WrongBase` for one that is not known."""
    count, start, end = config.num_train_timesteps, config.beta_start, config.beta_end
    if config.beta_schedule == "scaled_linear":
        betas_T = torch.linspace(start**0.5, end**0.5, count, dtype=torch.float64) ** 2
    elif config.beta_schedule == "linear":
        betas_T = torch.linspace(start, end, count, dtype=torch.float64)
    else:
        raise stock.WrongBase(f"the base model's noise schedule {str(config.beta_schedule)[:40]!r} is not known")
    if config.prediction_type not in ("epsilon", "v_prediction"):
        raise stock.WrongBase(f"the base model's prediction type {str(config.prediction_type)[:40]!r} is not known")
    alphas_T = torch.cumprod(1.0 - betas_T, dim=0)
    if config.get("rescale_betas_zero_snr", False):
        alphas_T = zero_terminal(alphas_T)
    return Diffusion(alphas_cumprod_T=alphas_T.float(), prediction=config.prediction_type)


def _layers(unet: nn.Module) -> tuple[str, ...]:
    """Paths of all linear and convolutional layers, sorted; without those of the time and size embeddings."""
    return tuple(
        sorted(
            path
            for path, module in unet.named_modules()
            if isinstance(module, nn.Linear | nn.Conv2d) and not path.startswith(("time_embedding", "add_embedding"))
        )
    )
