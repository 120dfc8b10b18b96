"""LoRA files of full-size shapes, rank 1 and all zeros, as our exporter names them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from storage.lora_file import (
    ALPHA,
    ARCHITECTURES,
    DOWN,
    UP,
    Component,
    Layout,
    Tensors,
    kohya_key,
    layout_of,
    write_lora,
)
from storage.lora_file.keymaps import keymap
from storage.lora_file.spelling import written as names_written

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

# What may be trained of each base: every linear layer of the blocks, and SD's convolutions. The edges (embeddings of time and
# text, the first and the last layer) are left alone: not every tool has names for them.
BLOCKS: dict[str, tuple[str, ...]] = {
    "sd15": ("attentions.", "resnets.", "encoder."),
    "sdxl": ("attentions.", "resnets.", "encoder."),
    "flux1-dev": ("transformer_blocks.",),
    "flux2-klein-4b": ("transformer_blocks.",),
    "flux2-klein-9b": ("transformer_blocks.",),
    "z-image": ("layers.", "refiner."),
}


def chosen(targets: tuple[str, ...], architecture: str = "sdxl") -> Iterator[tuple[Component, str, tuple[int, ...]]]:
    """The modules whose path ends with a target, with the shape of their weight."""
    for component, modules in keymap(architecture).modules.items():
        for path, shape in modules.items():
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


def names_of(architecture: str, layout: Layout | None = None) -> list[str]:
    """Every key that a file of this layout with all blocks' layers has."""
    asked = layout or layout_of(architecture)
    return [
        name + suffix
        for name, slots in names_written(architecture, asked).items()
        if all(any(part in slot.path for part in BLOCKS[architecture]) for slot in slots)
        for suffix in asked.suffixes
    ]


def thin_tensors(architecture: str, layout: Layout) -> Tensors:
    """Every module of a layout at rank 1, all zeros."""
    tensors: dict[str, np.ndarray] = {}
    for name, slots in names_written(architecture, layout).items():
        rows, (_, *rest) = sum(slot.shape[0] for slot in slots), slots[0].shape
        tensors[name + layout.down] = np.zeros((1, *rest), np.float16)
        tensors[name + layout.up] = np.zeros((rows, 1, *[1] * (len(rest) - 1)), np.float16)
        if layout.alpha is not None:
            tensors[name + layout.alpha] = np.array(1, np.float32)
    return tensors


def random_tensors(architecture: str, layout: Layout, *, rank: int, seed: int, every: int) -> Tensors:
    """Every n-th module of a layout with random numbers; each module with its own, and alpha = rank."""
    generator = np.random.default_rng(seed)
    tensors: dict[str, np.ndarray] = {}
    for number, (name, slots) in enumerate(sorted(names_written(architecture, layout).items())):
        if number % every:
            continue
        rows, (_, *rest) = sum(slot.shape[0] for slot in slots), slots[0].shape
        tensors[name + layout.down] = generator.normal(size=(rank, *rest)).astype(np.float16)
        tensors[name + layout.up] = generator.normal(size=(rows, rank, *[1] * (len(rest) - 1))).astype(np.float16)
        if layout.alpha is not None:
            tensors[name + layout.alpha] = np.array(rank, np.float32)
    return tensors


def header_of(architecture: str) -> dict[str, str]:
    row = ARCHITECTURES[architecture]
    return {"modelspec.architecture": row.modelspec, "ss_base_model_version": row.base_version}


def written(path: Path, tensors: Tensors, metadata: dict[str, str] | None = None) -> Path:
    write_lora(path, tensors, SDXL if metadata is None else metadata)
    return path
