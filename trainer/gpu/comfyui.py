"""Asks a ComfyUI on this machine which keys of a LoRA file its own loader uses, for full-size shapes on the meta device.

    python -m trainer.gpu.comfyui COMFYUI_FOLDER FILE sdxl      prints {"used": 2166, "dropped": ["lora_unet_..."]}

Its own process, because ComfyUI's modules read arguments and devices when they are imported. Libraries that ComfyUI
needs for other things (audio, video, samplers) and that are missing here are replaced by mocks: names need none of them.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import json
import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import torch

# What ComfyUI's own comfy/model_detection.py makes of the published checkpoints.
_UNET: Mapping[str, Any] = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 320,
    "use_checkpoint": False,
    "legacy": False,
    "use_spatial_transformer": True,
    "use_temporal_attention": False,
    "use_temporal_resblock": False,
    "dtype": torch.float16,
}
SD15_UNET: Mapping[str, Any] = {
    **_UNET,
    "num_res_blocks": [2, 2, 2, 2],
    "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
    "transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
    "transformer_depth_middle": 1,
    "channel_mult": [1, 2, 4, 4],
    "use_linear_in_transformer": False,
    "context_dim": 768,
    "num_heads": 8,
    "adm_in_channels": None,
}
SDXL_UNET: Mapping[str, Any] = {
    **_UNET,
    "num_res_blocks": [2, 2, 2],
    "transformer_depth": [0, 0, 2, 2, 10, 10],
    "transformer_depth_output": [0, 0, 0, 2, 2, 2, 10, 10, 10],
    "transformer_depth_middle": 10,
    "channel_mult": [1, 2, 4],
    "use_linear_in_transformer": True,
    "context_dim": 2048,
    "num_head_channels": 64,
    "adm_in_channels": 2816,
    "num_classes": "sequential",
}
FLUX1: Mapping[str, Any] = {
    "image_model": "flux",
    "in_channels": 16,
    "out_channels": 16,
    "patch_size": 2,
    "hidden_size": 3072,
    "num_heads": 24,
    "mlp_ratio": 4.0,
    "context_in_dim": 4096,
    "vec_in_dim": 768,
    "depth": 19,
    "depth_single_blocks": 38,
    "axes_dim": [16, 56, 56],
    "theta": 10000,
    "qkv_bias": True,
    "guidance_embed": True,
    "txt_ids_dims": [],
}
_FLUX2: Mapping[str, Any] = {
    "image_model": "flux2",
    "in_channels": 128,
    "out_channels": 128,
    "patch_size": 1,
    "mlp_ratio": 3.0,
    "vec_in_dim": None,
    "axes_dim": [32, 32, 32, 32],
    "theta": 2000,
    "qkv_bias": False,
    "ops_bias": False,
    "guidance_embed": False,
    "global_modulation": True,
    "mlp_silu_act": True,
    "default_ref_method": "index",
    "ref_index_scale": 10.0,
    "txt_ids_dims": [3],
}
KLEIN_4B: Mapping[str, Any] = {
    **_FLUX2,
    "hidden_size": 3072,
    "num_heads": 24,
    "context_in_dim": 7680,
    "depth": 5,
    "depth_single_blocks": 20,
}
KLEIN_9B: Mapping[str, Any] = {
    **_FLUX2,
    "hidden_size": 4096,
    "num_heads": 32,
    "context_in_dim": 12288,
    "depth": 8,
    "depth_single_blocks": 24,
}
Z_IMAGE: Mapping[str, Any] = {
    "image_model": "lumina2",
    "patch_size": 2,
    "in_channels": 16,
    "dim": 3840,
    "cap_feat_dim": 2560,
    "n_layers": 30,
    "qk_norm": True,
    "n_heads": 30,
    "n_kv_heads": 30,
    "axes_dims": [32, 48, 48],
    "axes_lens": [1536, 512, 512],
    "rope_theta": 256.0,
    "ffn_dim_multiplier": 8.0 / 3.0,
    "z_image_modulation": True,
    "time_scale": 1000.0,
    "pad_tokens_multiple": 32,
}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to build one base from ComfyUI's own classes."""

    config: str  # class in comfy/supported_models.py
    model: str  # class in comfy/model_base.py
    unet: Mapping[str, Any]
    clip: tuple[str, str] | None = None  # module and class of the text encoder, where LoRAs for it exist


RECIPES: Mapping[str, Recipe] = {
    "sd15": Recipe(config="SD15", model="BaseModel", unet=SD15_UNET, clip=("sd1_clip", "SD1ClipModel")),
    "sdxl": Recipe(config="SDXL", model="SDXL", unet=SDXL_UNET, clip=("sdxl_clip", "SDXLClipModel")),
    "flux1-dev": Recipe(config="Flux", model="Flux", unet=FLUX1),
    "flux2-klein-4b": Recipe(config="Flux2", model="Flux2", unet=KLEIN_4B),
    "flux2-klein-9b": Recipe(config="Flux2", model="Flux2", unet=KLEIN_9B),
    "z-image": Recipe(config="ZImage", model="Lumina2", unet=Z_IMAGE),
}


class _Mocked(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Stands in for the top-level packages in `names`."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def find_spec(self, name: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        if name.split(".", maxsplit=1)[0] not in self.names:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module = MagicMock(name=spec.name)
        module.__path__, module.__spec__ = [], spec
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run."""


def import_comfy(folder: Path) -> None:
    """Imports the parts of `comfy` in `folder` that name and load LoRAs, on the CPU."""
    sys.path.insert(0, str(folder))
    sys.argv = ["comfyui", "--cpu"]
    mocked = _Mocked()
    sys.meta_path.append(mocked)
    importlib.import_module("comfy.options").enable_args_parsing()
    for name in ("lora", "lora_convert", "model_base", "sd1_clip", "sdxl_clip", "supported_models", "utils"):
        _import_with_mocks(f"comfy.{name}", mocked)


def _import_with_mocks(name: str, mocked: _Mocked) -> None:
    while True:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            missing = (error.name or "").split(".")[0]
            if missing in mocked.names | {"comfy", ""}:
                raise
            mocked.names.add(missing)
        else:
            return


def key_map(base: str) -> dict[Any, Any]:
    """ComfyUI's own table: name in a LoRA file -> weight of the base, or (weight, slice). Needs import_comfy first."""
    comfy = sys.modules["comfy"]
    recipe = RECIPES[base]
    config = getattr(comfy.supported_models, recipe.config)(dict(recipe.unet))
    with torch.device("meta"):
        model = getattr(comfy.model_base, recipe.model)(config, device="meta")
        found = comfy.lora.model_lora_keys_unet(model, {})
        if recipe.clip is None:
            return dict(found)
        module, name = recipe.clip
        clip = getattr(getattr(comfy, module), name)(device="meta", dtype=torch.float16)
    return {**found, **comfy.lora.model_lora_keys_clip(clip, {})}


def dropped_keys(tensors: dict[str, torch.Tensor], base: str) -> list[str]:
    """The keys that ComfyUI's loader leaves; it only logs them, so its log is read."""
    comfy = sys.modules["comfy"]
    listener = _Listener()
    logging.getLogger().addHandler(listener)
    converted = comfy.lora_convert.convert_lora(dict(tensors))
    comfy.lora.load_lora(converted, key_map(base))
    return sorted(listener.left)


class _Listener(logging.Handler):
    WORDS = "lora key not loaded: "

    def __init__(self) -> None:
        super().__init__()
        self.left: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text.startswith(self.WORDS):
            self.left.append(text.removeprefix(self.WORDS))


def main(folder: Path, file: Path, base: str) -> None:
    """Prints the answer as one line of JSON, the last line of the output."""
    import_comfy(folder)
    tensors = sys.modules["comfy"].utils.load_torch_file(str(file), safe_load=True)
    dropped = dropped_keys(tensors, base)
    sys.stdout.write(json.dumps({"used": len(tensors) - len(dropped), "dropped": dropped}) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
