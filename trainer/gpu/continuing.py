"""Going on from a LoRA: the adapter begins as what a file holds, instead of as nothing.

The file has the modules and the rank of the plan, or is refused by name; its bytes are the plan's, by their hash. Where it was
trained with another alpha than the plan's, B is scaled so that the product W + B A is the file's: only that is kept, since the
moments of its optimiser are not in a file.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from storage.lora_file import Header, key_of, layout_of, place_of, read_header, read_tensor
from trainer.gpu.adapter import Adapter, fresh
from trainer.gpu.export import sha256
from trainer.gpu.job import JobRefused, Task

FILE = "start.safetensors"
"""In the job folder."""


def start_of(task: Task, adapter: Adapter) -> dict[str, Tensor]:
    """The parameters before step 1. Raises `JobRefused` for a file that does not fit the plan, `FileRefused` for none at all."""
    if not task.plan.continue_from:
        return fresh(adapter, task.plan.seed)
    file = task.path(FILE)
    if not file.is_file() or sha256(file) != task.plan.continue_from:
        raise JobRefused("the LoRA to go on from is not the one that the plan names")
    return _parameters(file, task.plan.base, adapter)


def _parameters(file: Path, base: str, adapter: Adapter) -> dict[str, Tensor]:
    header, layout = read_header(file), layout_of(base)
    keys = {path: key_of(layout, *place_of(base, path)) for path in adapter.paths}
    ends = (layout.down, layout.up, *([layout.alpha] if layout.alpha else []))
    wanted, there = {key + end for key in keys.values() for end in ends}, set(header.tensors)
    if wanted != there:
        _refuse_names(wanted, there)
    found = {}
    for path, key in keys.items():
        down, up = (_tensor(file, key + end, header).float() for end in (layout.down, layout.up))
        if down.shape[0] != adapter.rank:
            raise JobRefused(
                f"the LoRA to go on from has rank {down.shape[0]}, the plan {adapter.rank}; set `rank` to its"
            )
        alpha = float(_tensor(file, key + layout.alpha, header)) if layout.alpha else down.shape[0]
        for side, tensor, parameter in (
            ("down", down, adapter.downs[path]),
            ("up", up * (alpha / down.shape[0] / adapter.scale), adapter.ups[path]),
        ):
            if tensor.shape != parameter.shape:
                raise JobRefused(f"the LoRA to go on from has another shape at {key}: it is another base model's")
            found[f"{path}.{side}"] = tensor
    return found


def _refuse_names(wanted: set[str], there: set[str]) -> None:
    if missing := sorted(wanted - there):
        raise JobRefused(
            f"the LoRA to go on from lacks {len(missing)} of {len(wanted)} tensors, such as {missing[0][:100]}; "
            "are base and targets its own? `lorasmith convert` mends other names"
        )
    more = sorted(there - wanted)
    raise JobRefused(
        f"the LoRA to go on from has {len(more)} tensors more than the plan's targets, such as {more[0][:100]}; "
        "set `targets` to its"
    )


def _tensor(file: Path, name: str, header: Header) -> Tensor:
    entry = header.tensors[name]
    return torch.from_numpy(read_tensor(file, name, header=header, max_bytes=entry.end - entry.start).copy())
