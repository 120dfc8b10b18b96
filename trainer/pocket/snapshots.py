"""Training state as safetensors: written atomically, read without unpickling anything."""

import json
from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.optim import Optimizer

from storage.system import sync_file

Tensors = dict[str, Tensor]


def save_snapshot(path: Path, tensors: Tensors, numbers: dict[str, float]) -> None:
    """Write tensors and numbers; a kill at any instant leaves the former snapshot or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(whole, unfinished, metadata={"numbers": json.dumps(numbers)})
    sync_file(unfinished)
    unfinished.replace(path)


def load_snapshot(path: Path) -> tuple[Tensors, dict[str, float]]:
    """What `save_snapshot` wrote; FileNotFoundError where there is none."""
    if not path.exists():
        raise FileNotFoundError(path)
    with safe_open(path, framework="pt") as file:
        numbers: dict[str, float] = json.loads(file.metadata()["numbers"])
        return {name: file.get_tensor(name) for name in file.keys()}, numbers  # noqa: SIM118 -- not a mapping


def prefixed(prefix: str, tensors: Tensors) -> Tensors:
    """The tensors under names that begin with the prefix."""
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}


def under(prefix: str, tensors: Tensors) -> Tensors:
    """The inverse of `prefixed`."""
    return {name[len(prefix) + 1 :]: tensor for name, tensor in tensors.items() if name.startswith(f"{prefix}/")}


def optimizer_tensors(optimizer: Optimizer) -> Tensors:
    """Every tensor of an Adam-like optimizer's state by parameter number."""
    state = optimizer.state_dict()["state"]
    return {f"{number}.{name}": value for number, held in state.items() for name, value in held.items()}


def restore_optimizer(optimizer: Optimizer, tensors: Tensors) -> None:
    """Give a fresh optimizer over the same parameters the state that was kept; rates stay as they are."""
    whole = optimizer.state_dict()
    state: dict[int, Tensors] = {}
    for name, value in tensors.items():
        number, field = name.split(".", 1)
        state.setdefault(int(number), {})[field] = value
    optimizer.load_state_dict({"state": state, "param_groups": whole["param_groups"]})


class Average:
    """An exponential moving average of parameters, with a warm-up so that the first steps do not linger."""

    def __init__(self, parameters: Iterable[Tensor], decay: float) -> None:
        self.decay = decay
        self.values = [parameter.detach().float().clone() for parameter in parameters]
        self.steps = 0

    @torch.no_grad()
    def follow(self, parameters: Iterable[Tensor]) -> None:
        """Move towards the parameters by one step."""
        self.steps += 1
        share = 1 - min(self.decay, (1 + self.steps) / (10 + self.steps))
        for value, parameter in zip(self.values, parameters, strict=True):
            value.lerp_(parameter.detach().float(), share)

    @torch.no_grad()
    def write(self, parameters: Iterable[Tensor]) -> None:
        """Put the average into the parameters."""
        for value, parameter in zip(self.values, parameters, strict=True):
            parameter.copy_(value)
