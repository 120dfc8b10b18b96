"""From adapter to file, and back: no file is used before it has been read back whole.

The layout is kohya's, the one that ComfyUI, A1111, Forge, sd-scripts and diffusers read (`storage.lora_file`). Two
readings: our own parser rebuilds every module's product and compares it with the adapter as cast to the file's dtype; then
the base loads the file as any user's program would, and every module has to arrive.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from storage import faults
from storage.lora_file import (
    ALPHA,
    DOWN,
    UP,
    About,
    Header,
    kohya_key,
    metadata_for,
    paths_by_key,
    read_header,
    read_tensor,
    write_lora,
)
from storage.usage import licence_of
from trainer.gpu.families.family import Base
from trainer.gpu.job import Task

Pairs = Mapping[str, tuple[Tensor, Tensor]]
"""Module path -> (A, B), in the file's dtype; alpha is the rank."""


class ReadBackFailed(Exception):
    """The written file does not hold what was trained."""


def cast(downs: Mapping[str, Tensor], ups: Mapping[str, Tensor]) -> Pairs:
    """The adapter as the file holds it: fp16 on the CPU. Raises `ReadBackFailed` where a number does not fit."""
    pairs = {path: (_half(downs[path]), _half(ups[path])) for path in sorted(downs)}
    if not all(bool(torch.isfinite(t).all()) for pair in pairs.values() for t in pair):
        raise ReadBackFailed("a weight of the adapter does not fit into fp16")
    return pairs


def about(task: Task, step: int, rank: int) -> About:
    """What the header says: from the order and its plan alone, never from the clock or this machine."""
    plan = task.plan
    return About(
        title=task.job.stem,
        architecture=plan.base,
        base=plan.base,
        trigger=plan.trigger,
        class_word=plan.class_word,
        subject=plan.subject_type.value,
        rank=rank,
        alpha=float(rank),
        conv=plan.targets == "attention+ff+conv",
        width=plan.resolution,
        height=plan.resolution,
        pictures=sum(not picture.held_out for picture in task.job.pictures),
        step=step,
        steps=plan.steps,
        batch=plan.batch_size,
        learning_rate=plan.learning_rate,
        seed=plan.seed,
        precision="no" if task.fit.precision == "fp32" else task.fit.precision,
        created_at=task.created_at,
        order=task.job.order_id,
        licence=licence_of(plan.base),
        own={"plan_sha256": task.plan_sha256, "recipe": plan.recipe},
    )


def write(path: Path, pairs: Pairs, header: About) -> str:
    """Writes the file and reads it back with our own parser; returns the SHA-256 of its bytes."""
    tensors = {}
    for module, (down, up) in pairs.items():
        key = kohya_key("unet", module)
        tensors[key + DOWN] = down.numpy()
        tensors[key + UP] = up.numpy()
        tensors[key + ALPHA] = np.array(down.shape[0], np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    faults.gap("checkpoint-write")
    write_lora(path, tensors, metadata_for(header, tensors))
    compare(read(path, tuple(pairs)), pairs)
    return sha256(path)


def read(path: Path, modules: tuple[str, ...]) -> dict[str, tuple[Tensor, Tensor]]:
    """(A, B) of every module in a file of ours. Raises `ReadBackFailed` for missing or unknown names, or a wrong alpha."""
    header = read_header(path)
    known = paths_by_key({"unet": modules})
    if set(header.tensors) != {key + end for key in known for end in (DOWN, UP, ALPHA)}:
        raise ReadBackFailed("the file's names are not those of the modules")
    found = {}
    for key, (_, module) in known.items():
        down, up, alpha = (_tensor(path, key + end, header) for end in (DOWN, UP, ALPHA))
        if float(alpha) != down.shape[0]:
            raise ReadBackFailed(f"{module}: alpha is not the rank")
        found[module] = (down, up)
    return found


def compare(kept: Pairs, wanted: Pairs) -> None:
    """Factors and products of both must be equal, bit for bit. Raises `ReadBackFailed`."""
    if set(kept) != set(wanted):
        raise ReadBackFailed("modules are missing")
    for module, (down, up) in wanted.items():
        same = torch.equal(kept[module][0], down) and torch.equal(kept[module][1], up)
        if not same or not torch.equal(product(*kept[module]), product(down, up)):
            raise ReadBackFailed(f"{module} was not read back as it was written")


def load_as_a_user(base: Base, path: Path, pairs: Pairs) -> None:
    """Loads the file into the drawing base and requires every module, value and strength. Raises `ReadBackFailed`."""
    worn = base.wear(path)
    if set(worn) != set(pairs):
        raise ReadBackFailed(f"of {len(pairs)} modules {len(set(worn) & set(pairs))} were loaded")
    for module, (down, up) in pairs.items():
        seen = worn[module]
        if seen.scaling != 1.0:
            raise ReadBackFailed(f"{module}: loaded at strength {seen.scaling}")
        for loaded, written in ((seen.down, down), (seen.up, up)):
            if not torch.equal(loaded.detach().cpu(), written.to(loaded.dtype)):
                raise ReadBackFailed(f"{module} was loaded with other values")


def product(down: Tensor, up: Tensor) -> Tensor:
    """B A as a matrix (out, in x kernel), float32; alpha over rank is 1."""
    return up.float().flatten(1) @ down.float().flatten(1)


def sha256(path: Path) -> str:
    """Of the file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _half(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", torch.float16).contiguous()


def _tensor(path: Path, name: str, header: Header) -> Tensor:
    entry = header.tensors[name]
    return torch.from_numpy(read_tensor(path, name, header=header, max_bytes=entry.end - entry.start).copy())
