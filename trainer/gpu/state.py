"""The resume state: the adapter, the optimiser's moments and the step. Safetensors and JSON, never pickle.

Random numbers need no state: every step draws its own (`noise`). The rate needs none: it is a function of the step.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from trainer.gpu.adapter import Adapter

KEPT = 2
"""States kept on disk: the newest, and the one before should the newest be damaged."""
MAX_JSON_BYTES = 4 << 20

_MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True, kw_only=True)
class State:
    """A run after `step` steps."""

    step: int
    tensors: Mapping[str, Tensor]
    """`adapter/<parameter>`, `exp_avg/<parameter>`, `exp_avg_sq/<parameter>`."""
    held_out_losses: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    """By checkpoint: held-out losses of every fixed draw; the veto compares them."""


def taken(
    adapter: Adapter, optimizer: torch.optim.Optimizer, step: int, losses: Mapping[int, tuple[float, ...]]
) -> State:
    """The state of a running training, copied to the CPU."""
    tensors = {}
    for name, parameter in adapter.parameters.items():
        tensors[f"adapter/{name}"] = _copied(parameter)
        for moment in _MOMENTS:
            known = optimizer.state.get(parameter, {}).get(moment)
            tensors[f"{moment}/{name}"] = (
                torch.zeros_like(tensors[f"adapter/{name}"]) if known is None else _copied(known)
            )
    return State(step=step, tensors=tensors, held_out_losses=dict(losses))


def restore(state: State, adapter: Adapter, optimizer: torch.optim.Optimizer) -> None:
    """Sets adapter and optimiser to the state. Raises `KeyError` or `ValueError` where it is another adapter's."""
    adapter.load({name: state.tensors[f"adapter/{name}"] for name in adapter.parameters})
    optimizer.state.clear()
    if state.step == 0:
        return
    for name, parameter in adapter.parameters.items():
        moments: dict[str, Any] = {
            moment: state.tensors[f"{moment}/{name}"].to(parameter.device, copy=True) for moment in _MOMENTS
        }
        optimizer.state[parameter] = {"step": torch.tensor(float(state.step)), **moments}


def write(folder: Path, state: State, plan_sha256: str) -> Path:
    """Writes `folder/<step>` so that it is there whole or not at all, and removes old ones."""
    folder.mkdir(parents=True, exist_ok=True)
    final, part = folder / str(state.step), folder / f"{state.step}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    save_file(dict(sorted(state.tensors.items())), part / "state.safetensors")
    _fsync(part / "state.safetensors")
    _write_json(part, state, plan_sha256)
    shutil.rmtree(final, ignore_errors=True)
    part.rename(final)
    _fsync(folder)
    for step in sorted(_steps(folder))[:-KEPT]:
        shutil.rmtree(folder / str(step), ignore_errors=True)
    return final


def rewrite_losses(folder: Path, state: State, plan_sha256: str) -> None:
    """Adds what was measured to the stored state of this step."""
    _write_json(folder / str(state.step), state, plan_sha256)


def newest(folder: Path, plan_sha256: str, upto: int) -> State | None:
    """The newest whole state of this plan with at most `upto` steps; damaged ones and other plans' are passed over."""
    for step in sorted(_steps(folder), reverse=True):
        state = _read(folder / str(step), plan_sha256) if step <= upto else None
        if state is not None and state.step == step:
            return state
    return None


def _read(folder: Path, plan_sha256: str) -> State | None:
    try:
        text = (folder / "state.json").read_bytes()[:MAX_JSON_BYTES]
        data = json.loads(text)
        if data["plan_sha256"] != plan_sha256:
            return None
        losses = {int(step): tuple(map(float, values)) for step, values in data["held_out_losses"].items()}
        tensors = load_file(folder / "state.safetensors")
        return State(step=int(data["step"]), tensors=tensors, held_out_losses=losses)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _write_json(folder: Path, state: State, plan_sha256: str) -> None:
    data = {
        "step": state.step,
        "plan_sha256": plan_sha256,
        "held_out_losses": {str(k): list(v) for k, v in state.held_out_losses.items()},
    }
    part = folder / "state.json.part"
    part.write_text(json.dumps(data, sort_keys=True))
    _fsync(part)
    part.replace(folder / "state.json")
    _fsync(folder)


def _steps(folder: Path) -> list[int]:
    if not folder.is_dir():
        return []
    return [int(child.name) for child in folder.iterdir() if child.name.isdecimal() and child.is_dir()]


def _copied(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", torch.float32, copy=True).contiguous()


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
