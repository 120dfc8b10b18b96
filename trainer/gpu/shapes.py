"""The full-size denoisers and text encoders of every base, on PyTorch's meta device: names and shapes without weights.

    python -m trainer.gpu.shapes flux2-klein-4b      prints {"transformer": {"transformer_blocks.0.attn.to_q": [3072, 3072]}}

`storage/keymaps` keeps these lists, so that names can be checked where there is no torch.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

import torch
from diffusers import Flux2Transformer2DModel, FluxTransformer2DModel, UNet2DConditionModel, ZImageTransformer2DModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from storage.lora_file import Component

Shapes = dict[Component, dict[str, tuple[int, ...]]]

# https://huggingface.co/stable-diffusion-v1-5/stable-diffusion-v1-5/blob/main/unet/config.json
SD15_UNET: Mapping[str, Any] = {
    "sample_size": 64,
    "in_channels": 4,
    "out_channels": 4,
    "layers_per_block": 2,
    "block_out_channels": (320, 640, 1280, 1280),
    "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
}

# https://huggingface.co/stabilityai/stable-diffusion-xl-base-1.0/blob/main/unet/config.json
SDXL_UNET: Mapping[str, Any] = {
    "sample_size": 128,
    "in_channels": 4,
    "out_channels": 4,
    "layers_per_block": 2,
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": [1, 2, 10],
    "attention_head_dim": [5, 10, 20],
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}

# https://huggingface.co/black-forest-labs/FLUX.1-dev/blob/main/transformer/config.json; the sizes are also those of
# `configs["flux-dev"]` in https://github.com/black-forest-labs/flux/blob/main/src/flux/util.py
FLUX1_DEV: Mapping[str, Any] = {
    "patch_size": 1,
    "in_channels": 64,
    "num_layers": 19,
    "num_single_layers": 38,
    "attention_head_dim": 128,
    "num_attention_heads": 24,
    "joint_attention_dim": 4096,
    "pooled_projection_dim": 768,
    "guidance_embeds": True,
}

# `Klein4BParams` and `Klein9BParams` of https://github.com/black-forest-labs/flux2/blob/main/src/flux2/model.py in
# diffusers' words (scripts/convert_flux2_to_diffusers.py); three layers of Qwen3 (2560 and 4096 wide) are the context.
_FLUX2: Mapping[str, Any] = {
    "patch_size": 1,
    "in_channels": 128,
    "attention_head_dim": 128,
    "timestep_guidance_channels": 256,
    "mlp_ratio": 3.0,
    "guidance_embeds": False,
}
FLUX2_KLEIN_4B: Mapping[str, Any] = {
    **_FLUX2,
    "num_layers": 5,
    "num_single_layers": 20,
    "num_attention_heads": 24,
    "joint_attention_dim": 7680,
}
FLUX2_KLEIN_9B: Mapping[str, Any] = {
    **_FLUX2,
    "num_layers": 8,
    "num_single_layers": 24,
    "num_attention_heads": 32,
    "joint_attention_dim": 12288,
}

# https://huggingface.co/Tongyi-MAI/Z-Image/blob/main/transformer/config.json
Z_IMAGE: Mapping[str, Any] = {
    "all_patch_size": (2,),
    "all_f_patch_size": (1,),
    "in_channels": 16,
    "dim": 3840,
    "n_layers": 30,
    "n_refiner_layers": 2,
    "n_heads": 30,
    "n_kv_heads": 30,
    "cap_feat_dim": 2560,
    "axes_dims": [32, 48, 48],
}

_CLIP_L: Mapping[str, int] = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "projection_dim": 768,
}
_CLIP_G: Mapping[str, int] = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "projection_dim": 1280,
}


def _clip_l() -> nn.Module:
    return CLIPTextModel(CLIPTextConfig(**_CLIP_L))


def _clip_g() -> nn.Module:
    return CLIPTextModelWithProjection(CLIPTextConfig(**_CLIP_G))


_MODELS: Mapping[str, Mapping[Component, Callable[[], nn.Module]]] = {
    "sd15": {"unet": lambda: UNet2DConditionModel(**SD15_UNET), "text_encoder": _clip_l},
    "sdxl": {
        "unet": lambda: UNet2DConditionModel(**SDXL_UNET),
        "text_encoder": _clip_l,
        "text_encoder_2": _clip_g,
    },
    "flux1-dev": {"transformer": lambda: FluxTransformer2DModel(**FLUX1_DEV)},
    "flux2-klein-4b": {"transformer": lambda: Flux2Transformer2DModel(**FLUX2_KLEIN_4B)},
    "flux2-klein-9b": {"transformer": lambda: Flux2Transformer2DModel(**FLUX2_KLEIN_9B)},
    "z-image": {"transformer": lambda: ZImageTransformer2DModel(**Z_IMAGE)},
}
BASES = tuple(_MODELS)


def full_size(base: str) -> dict[Component, nn.Module]:
    """The models of `base` that can carry a LoRA, on the meta device. Raises KeyError for a base without published sizes."""
    with torch.device("meta"):
        return {part: build() for part, build in _MODELS[base].items()}


def module_shapes(base: str) -> Shapes:
    """The weight shape of every linear and convolutional module, by component and path."""
    kinds = (nn.Linear, nn.Conv2d)
    return {
        part: {path: tuple(module.weight.shape) for path, module in model.named_modules() if isinstance(module, kinds)}
        for part, model in full_size(base).items()
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(module_shapes(sys.argv[1])) + "\n")
