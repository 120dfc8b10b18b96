"""From adapter to file, and back: no file is used before it has been read back whole.

`storage.lora_file.layouts` says how the modules of each base are called in a file. Two readings: our own parser rebuilds
every module's product and compares it with the adapter as cast to the file's dtype; then the base loads the file as any
user's program would, and every module has to arrive.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from storage import faults
from storage.lora_file import (
    About,
    Called,
    Header,
    Raw,
    Tensors,
    key_of,
    layout_of,
    metadata_for,
    place_of,
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


DTYPES: Mapping[str, torch.dtype] = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}


def cast(downs: Mapping[str, Tensor], ups: Mapping[str, Tensor], dtype: str = "fp16") -> Pairs:
    """The adapter as the file holds it, on the CPU. Raises `ReadBackFailed` where a number does not fit."""
    pairs = {path: (_cast(downs[path], dtype), _cast(ups[path], dtype)) for path in sorted(downs)}
    if not all(bool(torch.isfinite(t).all()) for pair in pairs.values() for t in pair):
        raise ReadBackFailed(f"a weight of the adapter does not fit into {dtype}")
    return pairs


def about(task: Task, step: int, rank: int, *, lost: float | None = None) -> About:
    """What the header says: from the order and its plan alone, never from the clock or this machine.

    `lost` is the share of the adapter's energy that a smaller rank left out.
    """
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
        concepts=_called(task),
        own={"plan_sha256": task.plan_sha256, "recipe": plan.recipe}
        | ({} if lost is None else {"energy_lost": f"{lost:.6f}"}),
    )


def _called(task: Task) -> tuple[Called, ...]:
    held_out = set(task.plan.held_out)
    return tuple(
        Called(
            trigger=concept.trigger,
            class_word=concept.class_word,
            pictures=len(set(concept.pictures) - held_out),
            repeats=concept.repeats,
        )
        for concept in task.plan.concepts
    )


def write(path: Path, pairs: Pairs, header: About) -> str:
    """Writes the file and reads it back with our own parser; returns the SHA-256 of its bytes."""
    tensors = named(pairs, header.architecture)
    path.parent.mkdir(parents=True, exist_ok=True)
    faults.gap("checkpoint-write")
    write_lora(path, tensors, metadata_for(header, tensors))
    compare(read(path, tuple(pairs)), pairs)
    return sha256(path)


def named(pairs: Pairs, architecture: str) -> Tensors:
    """The tensors under the names that files of this architecture have; alpha, where it is written, is the rank."""
    layout = layout_of(architecture)
    tensors: dict[str, npt.NDArray[np.generic] | Raw] = {}
    for module, (down, up) in pairs.items():
        key = key_of(layout, *place_of(architecture, module))
        tensors[key + layout.down] = _numbers(down)
        tensors[key + layout.up] = _numbers(up)
        if layout.alpha is not None:
            tensors[key + layout.alpha] = np.array(down.shape[0], np.float32)
    return tensors


def read(path: Path, modules: tuple[str, ...]) -> dict[str, tuple[Tensor, Tensor]]:
    """(A, B) of every module in a file of ours. Raises `ReadBackFailed` for missing or unknown names, or a wrong alpha."""
    header = read_header(path)
    architecture = header.metadata.get("lorasmith.architecture", "")
    layout = layout_of(architecture)
    known = {key_of(layout, *place_of(architecture, module)): module for module in modules}
    if set(header.tensors) != {key + end for key in known for end in layout.suffixes}:
        raise ReadBackFailed("the file's names are not those of the modules")
    found = {}
    for key, module in known.items():
        down, up = (_tensor(path, key + end, header) for end in (layout.down, layout.up))
        if layout.alpha is not None and float(_tensor(path, key + layout.alpha, header)) != down.shape[0]:
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


def _cast(tensor: Tensor, dtype: str) -> Tensor:
    return tensor.detach().to("cpu", DTYPES[dtype]).contiguous()


def _numbers(tensor: Tensor) -> npt.NDArray[np.generic] | Raw:
    """For numpy, which has no bf16: there the bits."""
    if tensor.dtype != torch.bfloat16:
        return tensor.numpy()
    return Raw(dtype="BF16", bits=tensor.view(torch.uint16).numpy())


def _tensor(path: Path, name: str, header: Header) -> Tensor:
    entry = header.tensors[name]
    read = torch.from_numpy(read_tensor(path, name, header=header, max_bytes=entry.end - entry.start).copy())
    return read.to(torch.bfloat16) if entry.dtype == "BF16" else read
