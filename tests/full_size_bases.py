"""Whole pipelines of the published sizes with random weights: what a GPU is tried with where no real weights are at hand.

Networks come from the published configurations; tokens of Qwen3 and T5 are single letters, which no memory and no time
depends on: texts are filled up to the same length. Only tests that import torch may call these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLFlux2,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    FluxPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    ZImagePipeline,
)
from torch import nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3Model,
    T5Config,
    T5EncoderModel,
)

from storage.base_file import BaseFile
from tests.tiny_bases import moving_shift, qwen_tokenizer, t5_tokenizer
from trainer.gpu.families import published
from trainer.gpu.shapes import full_size

LONGEST_TEXT = 512
"""Tokens of the texts of FLUX.1, FLUX.2 and Z-Image."""
_QWEN: Mapping[str, Any] = {
    "vocab_size": 151936,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "max_position_embeddings": 40960,
}
QWEN3_4B: Mapping[str, Any] = {
    **_QWEN,
    "hidden_size": 2560,
    "intermediate_size": 9728,
    "tie_word_embeddings": True,
}
QWEN3_8B: Mapping[str, Any] = {
    **_QWEN,
    "hidden_size": 4096,
    "intermediate_size": 12288,
    "tie_word_embeddings": False,
}
"""https://huggingface.co/Qwen/Qwen3-4B/blob/main/config.json, and the same file of Qwen3-8B."""
T5_XXL: Mapping[str, Any] = {
    "vocab_size": 32128,
    "d_model": 4096,
    "d_kv": 64,
    "d_ff": 10240,
    "num_layers": 24,
    "num_heads": 64,
    "feed_forward_proj": "gated-gelu",
}
"""https://huggingface.co/google/t5-v1_1-xxl/blob/main/config.json"""


def _vae(**more: Any) -> AutoencoderKL:
    return AutoencoderKL(**{**published._VAE, **more})


def _sixteen_channels() -> AutoencoderKL:
    """https://huggingface.co/black-forest-labs/FLUX.1-dev/blob/main/vae/config.json, and Z-Image's is the same."""
    return _vae(
        latent_channels=16,
        scaling_factor=0.3611,
        shift_factor=0.1159,
        use_quant_conv=False,
        use_post_quant_conv=False,
        sample_size=1024,
    )


def _clip(which: Mapping[str, Any], kind: Any = CLIPTextModel) -> PreTrainedModel:
    found: PreTrainedModel = kind(CLIPTextConfig(**which))
    return found


def _noise() -> Any:
    with torch.device("cpu"):
        return published.scheduler(BaseFile(family="sdxl", prediction="epsilon", zero_terminal=False))


def _flow(shift: float | None = None) -> Any:
    """Of a constant shift, or one that goes by the picture's size."""
    with torch.device("cpu"):
        return moving_shift() if shift is None else FlowMatchEulerDiscreteScheduler(shift=shift)


def _sd15() -> Any:
    return StableDiffusionPipeline(
        vae=_vae(scaling_factor=0.18215, sample_size=512),
        unet=full_size("sd15")["unet"],
        text_encoder=_clip(published._CLIP_L),
        tokenizer=published.tokenizer("<|endoftext|>"),
        scheduler=_noise(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _sdxl() -> Any:
    return StableDiffusionXLPipeline(
        vae=_vae(scaling_factor=0.13025, sample_size=1024, force_upcast=True),
        unet=full_size("sdxl")["unet"],
        text_encoder=_clip(published._CLIP_L),
        text_encoder_2=_clip(published._CLIP_G, CLIPTextModelWithProjection),
        tokenizer=published.tokenizer("<|endoftext|>"),
        tokenizer_2=published.tokenizer("!"),
        scheduler=_noise(),
        add_watermarker=False,
    )


def _flux1() -> Any:
    return FluxPipeline(
        scheduler=_flow(),
        vae=_sixteen_channels(),
        text_encoder=_clip(published._CLIP_L),
        tokenizer=published.tokenizer("<|endoftext|>"),
        text_encoder_2=T5EncoderModel(T5Config(**T5_XXL)),
        tokenizer_2=t5_tokenizer(LONGEST_TEXT),
        transformer=full_size("flux1-dev")["transformer"],
    )


def _klein(name: str, encoder: Mapping[str, Any]) -> Any:
    return Flux2KleinPipeline(
        scheduler=_flow(),
        vae=AutoencoderKLFlux2(),  # its defaults are the published sizes
        text_encoder=Qwen3ForCausalLM(Qwen3Config(**encoder)),
        tokenizer=qwen_tokenizer(LONGEST_TEXT),
        transformer=full_size(name)["transformer"],
        is_distilled=False,
    )


def _zimage() -> Any:
    return ZImagePipeline(
        scheduler=_flow(6.0),
        vae=_sixteen_channels(),
        text_encoder=Qwen3Model(Qwen3Config(**QWEN3_4B)),
        tokenizer=qwen_tokenizer(LONGEST_TEXT),
        transformer=full_size("z-image")["transformer"],
    )


PIPELINES: Mapping[str, Callable[[], Any]] = {
    "sd15": _sd15,
    "sdxl": _sdxl,
    "flux1-dev": _flux1,
    "flux2-klein-4b": lambda: _klein("flux2-klein-4b", QWEN3_4B),
    "flux2-klein-9b": lambda: _klein("flux2-klein-9b", QWEN3_8B),
    "z-image": _zimage,
}


def pipeline_of(name: str) -> Any:
    """The stock pipeline of a base on the meta device: autoencoder in fp32, all else in bf16. Raises KeyError."""
    with torch.device("meta"):
        pipeline = PIPELINES[name]()
    for part, network in networks(pipeline).items():
        network.to(torch.float32 if part == "vae" else torch.bfloat16)
    return pipeline


def networks(pipeline: Any) -> dict[str, nn.Module]:
    """By their names in the pipeline."""
    return {name: part for name, part in pipeline.components.items() if isinstance(part, nn.Module)}


def size_bytes(pipeline: Any) -> dict[str, int]:
    """Of each network, on disk and in main memory."""
    return {
        name: sum(weight.numel() * weight.element_size() for weight in network.parameters())
        for name, network in networks(pipeline).items()
    }


def written(pipeline: Any, folder: Path, device: str) -> Path:
    """Fills a pipeline of the meta device with random weights and writes it; numbers are drawn on `device`.

    The whole base lies in main memory meanwhile.
    """
    for network in networks(pipeline).values():
        network.to_empty(device="cpu")
        if isinstance(network, PreTrainedModel):
            network.tie_weights()
        _fill(network, device)
    pipeline.save_pretrained(folder)
    return folder


@torch.no_grad()
def _fill(network: nn.Module, device: str) -> None:
    """Matrices as transformers begin with them, norms that change nothing."""
    for name, weight in network.state_dict().items():
        if weight.ndim > 1:
            weight.copy_(torch.empty(weight.shape, dtype=weight.dtype, device=device).normal_(std=0.02))
        else:
            weight.fill_(1.0 if name.endswith(("weight", "running_var")) else 0.0)
