"""Asks a ComfyUI on this machine which keys of a LoRA file its own loader uses, for SDXL's shapes on the meta device.

    python -m trainer.gpu.comfyui COMFYUI_FOLDER FILE      prints {"used": 2166, "dropped": ["lora_unet_..."]}

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
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import torch

# SDXL base as ComfyUI detects it from a checkpoint: comfy/model_detection.py, unet_config_from_diffusers_unet.
SDXL_UNET: dict[str, Any] = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 320,
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
    "use_checkpoint": False,
    "legacy": False,
    "use_spatial_transformer": True,
    "use_temporal_attention": False,
    "use_temporal_resblock": False,
    "dtype": torch.float16,
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
    for name in ("lora", "lora_convert", "model_base", "sdxl_clip", "supported_models", "utils"):
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


def sdxl_key_map() -> dict[Any, Any]:
    """ComfyUI's own table: name in a LoRA file -> weight of SDXL. Needs import_comfy first."""
    comfy = sys.modules["comfy"]
    config = comfy.supported_models.SDXL(SDXL_UNET)
    with torch.device("meta"):
        model = comfy.model_base.SDXL(config, device="meta")
        clip = comfy.sdxl_clip.SDXLClipModel(device="meta", dtype=torch.float16)
    return {**comfy.lora.model_lora_keys_unet(model, {}), **comfy.lora.model_lora_keys_clip(clip, {})}


def dropped_keys(tensors: dict[str, torch.Tensor]) -> list[str]:
    """The keys that ComfyUI's loader leaves; it only logs them, so its log is read."""
    comfy = sys.modules["comfy"]
    listener = _Listener()
    logging.getLogger().addHandler(listener)
    converted = comfy.lora_convert.convert_lora(dict(tensors))
    comfy.lora.load_lora(converted, sdxl_key_map())
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


def main(folder: Path, file: Path) -> None:
    """Prints the answer as one line of JSON, the last line of the output."""
    import_comfy(folder)
    tensors = sys.modules["comfy"].utils.load_torch_file(str(file), safe_load=True)
    dropped = dropped_keys(tensors)
    sys.stdout.write(json.dumps({"used": len(tensors) - len(dropped), "dropped": dropped}) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
