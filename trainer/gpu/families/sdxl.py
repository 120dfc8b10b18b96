"""Base models of the SDXL class: the stock StableDiffusionXLPipeline, frozen, in fp32 on the CPU and bf16 on a GPU.

Shapes as in `family`.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionXLPipeline
from peft.tuners.lora import LoraLayer
from PIL import Image
from torch import Tensor, nn

from storage.domain.plan import Fit
from trainer.gpu.families.family import Drawing, Targets, Words, Worn
from trainer.gpu.families.fingerprints import of_encoders
from trainer.gpu.pictures import Framing, Shape, shapes
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

_ADAPTER = "file"


class Sdxl:
    """One loaded base of the SDXL class; see `family.Base` for what each part is."""

    def __init__(self, source: str, fit: Fit, *, squares_only: bool = False) -> None:
        """Raises `OSError` where there is no such model. Only safetensors are read, and no code of the model's."""
        self.device = torch.device(fit.device)
        self._dtype = torch.bfloat16 if fit.precision == "bf16" else torch.float32
        self._squares_only = squares_only
        self._pipeline = _loaded(source, self._dtype).to(self.device)
        if self._dtype != torch.float32:
            self._pipeline.vae.to(torch.float32)  # SDXL's overflows in fp16, and rounding in bf16 is visible
        for part in ("vae", "unet", "text_encoder", "text_encoder_2"):
            getattr(self._pipeline, part).requires_grad_(requires_grad=False).eval()
        if fit.device == "cpu":
            self._pipeline.unet.to(memory_format=torch.channels_last)
        self._wears = False
        self._layers = _layers(self._pipeline.unet)
        self.schedule = _schedule(self._pipeline.scheduler.config)
        self.vae_sha256 = _fingerprint(self._pipeline.vae)
        self.words_sha256 = of_encoders(self._pipeline)

    @property
    def denoiser(self) -> nn.Module:
        return self._pipeline.unet

    def trainee(self) -> nn.Module:
        self.wear(None)
        return copy.deepcopy(self._pipeline.unet)

    def shapes(self, resolution: int) -> tuple[Shape, ...]:
        halvings = len(self._pipeline.unet.config.block_out_channels) - 1
        step = self._pipeline.vae_scale_factor * 2**halvings
        if self._squares_only:
            side = max(resolution // step * step, step)
            return (Shape(height=side, width=side),)
        # SDXL was trained on multiples of 64 (Podell et al. 2023, appendix I)
        return shapes(resolution, max(step, 64) if resolution >= 512 else step)

    @torch.no_grad()
    def encode_pictures(self, pixels_B3HW: Tensor) -> Tensor:
        vae = self._pipeline.vae
        latents_BCHW = vae.encode(pixels_B3HW.to(self.device, torch.float32)).latent_dist.mode()
        mean_1C11, std_1C11 = self._latent_norm()
        return ((latents_BCHW - mean_1C11) / std_1C11 * vae.config.scaling_factor).float()

    @torch.no_grad()
    def encode_texts(self, texts: Sequence[str]) -> Words:
        hidden_BLD, _, pooled_BP, _ = self._pipeline.encode_prompt(
            prompt=list(texts), device=self.device, num_images_per_prompt=1, do_classifier_free_guidance=False
        )
        if self._pipeline.config.force_zeros_for_empty_prompt:
            real_B = torch.tensor([bool(text) for text in texts], device=self.device, dtype=hidden_BLD.dtype)
            hidden_BLD, pooled_BP = hidden_BLD * real_B[:, None, None], pooled_BP * real_B[:, None]
        return Words(hidden_BLD=hidden_BLD, pooled_BP=pooled_BP)

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

    def lora_targets(self, targets: Targets) -> tuple[str, ...]:
        endings = tuple(f".{ending}" for ending in _ENDINGS[targets])
        return tuple(path for path in self._layers if path.endswith(endings))

    def wear(self, file: Path | None) -> dict[str, Worn]:
        if self._wears:
            self._pipeline.unload_lora_weights()
        self._wears = file is not None
        if file is None:
            return {}
        self._pipeline.load_lora_weights(
            str(file.parent),
            weight_name=file.name,
            adapter_name=_ADAPTER,
            use_safetensors=True,
            local_files_only=True,
        )
        self._pipeline.unet.eval()
        return {
            path: Worn(
                down=layer.lora_A[_ADAPTER].weight,
                up=layer.lora_B[_ADAPTER].weight,
                scaling=float(layer.scaling[_ADAPTER]),
            )
            for path, layer in self._pipeline.unet.named_modules()
            if isinstance(layer, LoraLayer) and _ADAPTER in layer.lora_A
        }

    def weigh(self, scale: float) -> None:
        self._pipeline.set_adapters([_ADAPTER], [scale])

    @torch.no_grad()
    def draw(
        self, drawings: Sequence[Drawing], negative: Words, *, shape: Shape, steps: int, guidance: float
    ) -> list[Image.Image]:
        count = len(drawings)
        unet, factor = self._pipeline.unet, self._pipeline.vae_scale_factor
        size = (unet.config.in_channels, shape.height // factor, shape.width // factor)
        noise = [torch.randn(size, generator=torch.Generator().manual_seed(drawing.seed)) for drawing in drawings]
        guided: dict[str, Any] = {}
        if guidance > 1.0:
            guided["negative_prompt_embeds"] = negative.hidden_BLD.expand(count, -1, -1)
            guided["negative_pooled_prompt_embeds"] = negative.pooled.expand(count, -1)
        latents_BCHW = self._pipeline(
            prompt_embeds=torch.cat([drawing.words.hidden_BLD for drawing in drawings]),
            pooled_prompt_embeds=torch.cat([drawing.words.pooled for drawing in drawings]),
            latents=torch.stack(noise).to(self.device, self._dtype),
            height=shape.height,
            width=shape.width,
            num_inference_steps=steps,
            guidance_scale=guidance,
            output_type="latent",
            **guided,
        ).images
        return self._decoded(latents_BCHW.float())

    def _decoded(self, latents_BCHW: Tensor) -> list[Image.Image]:
        mean_1C11, std_1C11 = self._latent_norm()
        latents_BCHW = latents_BCHW / self._pipeline.vae.config.scaling_factor * std_1C11 + mean_1C11
        found = [self._pipeline.vae.decode(one_CHW[None], return_dict=False)[0] for one_CHW in latents_BCHW]
        pictures: list[Image.Image] = self._pipeline.image_processor.postprocess(
            torch.nan_to_num(torch.cat(found), nan=-1.0), output_type="pil"
        )
        return pictures

    def _latent_norm(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of latents where the autoencoder's file names them, else 0 and 1; (1, C, 1, 1)."""
        config = self._pipeline.vae.config
        mean = config.get("latents_mean") or [0.0]
        std = config.get("latents_std") or [1.0]
        return tuple(torch.tensor(x, device=self.device).view(1, -1, 1, 1) for x in (mean, std))  # type: ignore[return-value]


def _loaded(source: str, dtype: torch.dtype) -> Any:  # noqa: ANN401 -- diffusers ships no types
    folder = Path(source)
    variant = None
    if folder.is_absolute() and not folder.is_dir():
        raise OSError("the base model's folder is not there")
    if folder.is_dir() and not list((folder / "unet").glob("diffusion_pytorch_model*.safetensors")):
        raise OSError("the base model's folder has no safetensors weights")
    if not folder.is_dir() or list((folder / "unet").glob("*.fp16.safetensors")):
        variant = "fp16"  # the published SDXL files; half the bytes, and bf16 or fp32 from here on
    pipeline = StableDiffusionXLPipeline.from_pretrained(
        source,
        dtype=dtype,
        variant=variant,
        use_safetensors=True,
        local_files_only=folder.is_dir(),
        add_watermarker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _sizes(framing: Framing) -> tuple[int, int, int, int, int, int]:
    """The six numbers that SDXL is told: original size, corner of the cut, size (Podell et al. 2023, section 2.2)."""
    return (*framing.original, *framing.corner, framing.shape.height, framing.shape.width)


def _layers(unet: nn.Module) -> tuple[str, ...]:
    """Paths of all linear and convolutional layers, sorted; without those of the time and size embeddings."""
    return tuple(
        sorted(
            path
            for path, module in unet.named_modules()
            if isinstance(module, nn.Linear | nn.Conv2d) and not path.startswith(("time_embedding", "add_embedding"))
        )
    )


def _schedule(config: Any) -> Diffusion:  # noqa: ANN401 -- diffusers ships no types
    """The training schedule of the model's scheduler configuration. Raises `ValueError` for one that is not known."""
    count, start, end = config.num_train_timesteps, config.beta_start, config.beta_end
    if config.beta_schedule == "scaled_linear":
        betas_T = torch.linspace(start**0.5, end**0.5, count, dtype=torch.float64) ** 2
    elif config.beta_schedule == "linear":
        betas_T = torch.linspace(start, end, count, dtype=torch.float64)
    else:
        raise ValueError(f"noise schedule {config.beta_schedule!r} is not known")
    if config.prediction_type not in ("epsilon", "v_prediction"):
        raise ValueError(f"prediction type {config.prediction_type!r} is not known")
    alphas_T = torch.cumprod(1.0 - betas_T, dim=0)
    if config.get("rescale_betas_zero_snr", False):
        alphas_T = zero_terminal(alphas_T)
    return Diffusion(alphas_cumprod_T=alphas_T.float(), prediction=config.prediction_type)


def _fingerprint(module: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()
