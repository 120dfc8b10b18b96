"""The resume state: the adapter and its mean, what the optimiser keeps, and the step. Safetensors and JSON, never pickle.

Random numbers need no state: every step draws its own (`noise`). The rate needs none: it is a function of the step.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from storage.system import sync_file, sync_folder
from trainer.gpu.adapter import Adapter
from trainer.gpu.ema import Average
from trainer.gpu.optimizers import give_back, kept

KEPT = 2
"""States kept on disk: the newest, and the one before should the newest be damaged."""
MAX_JSON_BYTES = 4 << 20


@dataclass(frozen=True, kw_only=True)
class State:
    """A run after `step` steps."""

    step: int
    tensors: Mapping[str, Tensor]
    """`adapter/<parameter>`, `average/<parameter>` where a mean is kept, `<kind>/<parameter>` of the optimiser."""
    numbers: Mapping[str, float] = field(default_factory=dict)
    """Of the optimiser."""
    loss_ratio: float = 1.0
    """The running loss over the base's (`pulse`): what a step that explodes is told by."""
    held_out_losses: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    """By checkpoint: held-out losses of every fixed draw; the veto compares them."""


@dataclass(frozen=True, kw_only=True)
class Learner:
    """What a state is taken of and given back to."""

    adapter: Adapter
    optimizer: torch.optim.Optimizer
    average: Average | None


def taken(learner: Learner, step: int, *, loss_ratio: float, losses: Mapping[int, tuple[float, ...]]) -> State:
    """The state of a running training, copied to the CPU."""
    tensors, numbers = kept(learner.optimizer, learner.adapter.parameters)
    tensors |= {f"adapter/{name}": _copied(p) for name, p in learner.adapter.parameters.items()}
    if learner.average:
        tensors |= {f"average/{name}": _copied(mean) for name, mean in learner.average.tensors.items()}
    return State(step=step, tensors=tensors, numbers=numbers, loss_ratio=loss_ratio, held_out_losses=dict(losses))


def restore(state: State, learner: Learner) -> None:
    """Sets all to the state. Raises `KeyError` or `ValueError` where it is another adapter's."""
    learner.adapter.load(_of("adapter", state))
    if learner.average:
        learner.average.load(_of("average", state) or _of("adapter", state))
    give_back(
        learner.optimizer,
        learner.adapter.parameters,
        tensors={k: v for k, v in state.tensors.items() if k.partition("/")[0] not in ("adapter", "average")},
        numbers=state.numbers,
        step=state.step,
    )


def _of(kind: str, state: State) -> dict[str, Tensor]:
    start = f"{kind}/"
    return {key.removeprefix(start): value for key, value in state.tensors.items() if key.startswith(start)}


def write(folder: Path, state: State, plan_sha256: str) -> Path:
    """Writes `folder/<step>` so that it is there whole or not at all, and removes old ones."""
    folder.mkdir(parents=True, exist_ok=True)
    final, part = folder / str(state.step), folder / f"{state.step}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    save_file(dict(sorted(state.tensors.items())), part / "state.safetensors")
    sync_file(part / "state.safetensors")
    _write_json(part, state, plan_sha256)
    shutil.rmtree(final, ignore_errors=True)
    part.rename(final)
    sync_folder(folder)
    for step in sorted(_steps(folder))[:-KEPT]:
        shutil.rmtree(folder / str(step), ignore_errors=True)
    return final


def rewrite_losses(folder: Path, step: int, losses: Mapping[int, tuple[float, ...]]) -> None:
    """Adds what was measured to the stored state of this step; its tensors stay untouched."""
    here = folder / str(step)
    data = json.loads((here / "state.json").read_bytes())
    _replace_json(here, {**data, "held_out_losses": _listed(losses)})


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
        return State(
            step=int(data["step"]),
            tensors=tensors,
            numbers={str(name): _number(value) for name, value in data.get("numbers", {}).items()},
            loss_ratio=float(data.get("loss_ratio", 1.0)),
            held_out_losses=losses,
        )
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _write_json(folder: Path, state: State, plan_sha256: str) -> None:
    data = {
        "step": state.step,
        "plan_sha256": plan_sha256,
        "numbers": dict(state.numbers),
        "loss_ratio": state.loss_ratio,
        "held_out_losses": _listed(state.held_out_losses),
    }
    _replace_json(folder, data)


def _listed(losses: Mapping[int, tuple[float, ...]]) -> dict[str, list[float]]:
    return {str(step): list(values) for step, values in losses.items()}


def _replace_json(folder: Path, data: Mapping[str, object]) -> None:
    part = folder / "state.json.part"
    part.write_text(json.dumps(data, sort_keys=True))
    sync_file(part)
    part.replace(folder / "state.json")
    sync_folder(folder)


def _steps(folder: Path) -> list[int]:
    if not folder.is_dir():
        return []
    return [int(child.name) for child in folder.iterdir() if child.name.isdecimal() and child.is_dir()]


def _number(value: object) -> float:
    """An int stays one: it counts."""
    if not isinstance(value, int | float):
        raise TypeError("no number")
    return value


def _copied(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", torch.float32, copy=True).contiguous()
