"""LoRA files of full-size SDXL shapes, rank 1 and all zeros, as our exporter names them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from storage.lora_file import ALPHA, COMPONENTS, DOWN, UP, Component, Tensors, kohya_key, write_lora
from storage.lora_file.keymaps import keymap

SDXL = {"modelspec.architecture": "stable-diffusion-xl-v1-base/lora", "ss_base_model_version": "sdxl_base_v1-0"}

ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
FF = ("ff.net.0.proj", "ff.net.2")
PROJ = ("proj_in", "proj_out")
RESNET = ("conv1", "conv2", "conv_shortcut")
TEXT = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")

PRESETS: dict[str, tuple[str, ...]] = {
    "attention": ATTENTION,
    "attention and ff": ATTENTION + FF,
    "attention, ff and proj": ATTENTION + FF + PROJ,
    "with resnet convolutions": ATTENTION + FF + PROJ + RESNET,
    "with both text encoders": ATTENTION + FF + PROJ + RESNET + TEXT,
}


def chosen(targets: tuple[str, ...], architecture: str = "sdxl") -> Iterator[tuple[Component, str, tuple[int, ...]]]:
    """The modules whose path ends with a target, with the shape of their weight."""
    for component in COMPONENTS:
        for path, shape in keymap(architecture).modules[component].items():
            if any(path == target or path.endswith(f".{target}") for target in targets):
                yield component, path, shape


def tensors_for(
    targets: tuple[str, ...],
    *,
    architecture: str = "sdxl",
    name: Callable[[Component, str], str] = kohya_key,
    alpha: np.ndarray | None = np.array(1, np.float32),  # noqa: B008 (never written to)
    suffixes: tuple[str, str] = (DOWN, UP),
) -> Tensors:
    tensors = {}
    for component, path, (out, *rest) in chosen(targets, architecture):
        base = name(component, path)
        tensors[base + suffixes[0]] = np.zeros((1, *rest), np.float16)
        tensors[base + suffixes[1]] = np.zeros((out, 1, *[1] * (len(rest) - 1)), np.float16)
        if alpha is not None:
            tensors[base + ALPHA] = alpha
    return tensors


def written(path: Path, tensors: Tensors, metadata: dict[str, str] | None = None) -> Path:
    write_lora(path, tensors, SDXL if metadata is None else metadata)
    return path
