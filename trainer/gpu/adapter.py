"""The LoRA that is trained: peft layers in fp32 over a frozen denoiser.

In files alpha is always the rank; where a plan trains with another one, what is handed on has it folded into B.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from storage.domain.plan import Plan
from trainer.gpu.dropout import Draw, Dropout
from trainer.gpu.noise import uniform

NAME = "learning"


@dataclass(frozen=True, kw_only=True)
class Delivered:
    """Weights as they leave the training: W + B A, alpha equal to the rank."""

    rank: int
    downs: Mapping[str, Tensor]
    ups: Mapping[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """The trainable part of one denoiser."""

    denoiser: nn.Module
    encoders: Mapping[str, nn.Module]
    """The text encoders that learn too, by name; none as a rule."""
    rank: int
    scale: float
    """What the product counts: alpha over rank (Hu et al. 2021, arXiv 2106.09685, section 4.1)."""
    draw: Draw | None
    """What dropout is drawn for; None without dropout."""
    downs: Mapping[str, nn.Parameter]
    """A of each module, by its path: (rank, in) or (rank, in, kernel, kernel)."""
    ups: Mapping[str, nn.Parameter]
    """B of each module: (out, rank) or (out, rank, 1, 1)."""

    @property
    def paths(self) -> tuple[str, ...]:
        """The adapted modules, sorted."""
        return tuple(sorted(self.downs))

    @property
    def parameters(self) -> dict[str, nn.Parameter]:
        """All parameters under stable names, in a fixed order."""
        return {
            f"{path}.{side}": side_of[path]
            for path in self.paths
            for side, side_of in (("down", self.downs), ("up", self.ups))
        }

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Sets every parameter. Raises `KeyError` or `ValueError` where names or shapes do not fit."""
        for name, parameter in self.parameters.items():
            if tensors[name].shape != parameter.shape:
                raise ValueError(f"{name} has another shape")
            parameter.copy_(tensors[name])

    @torch.no_grad()
    def delivered(self, tensors: Mapping[str, Tensor] | None = None) -> Delivered:
        """The parameters, or others of the same names such as their mean, with alpha folded into B."""
        given = tensors or self.parameters
        return Delivered(
            rank=self.rank,
            downs={path: given[f"{path}.down"].detach() for path in self.paths},
            ups={path: given[f"{path}.up"].detach() * self.scale for path in self.paths},
        )


def attach(
    denoiser: nn.Module, paths: tuple[str, ...], plan: Plan, encoders: Mapping[str, nn.Module] | None = None
) -> Adapter:
    """Freezes the denoiser and puts a fresh adapter on these modules: A uniform as peft has it, B zero.

    The first prediction is the base's own (Hu et al. 2021, arXiv 2106.09685, section 4.1). A is drawn from the run's seed.
    Where text encoders learn too, their modules are among the paths, with the encoder's name in front.
    """
    taught = dict(encoders or {})
    rank = plan.rank
    alpha = rank if plan.alpha is None else plan.alpha
    in_words = tuple(path for path in paths if path.startswith(tuple(f"{name}." for name in taught)))
    layers = _injected(denoiser, [path for path in paths if path not in in_words], plan, alpha)
    for name, encoder in taught.items():
        own = [path.removeprefix(f"{name}.") for path in in_words if path.startswith(f"{name}.")]
        layers |= {f"{name}.{path}": layer for path, layer in _injected(encoder, own, plan, alpha).items()}
    if set(layers) != set(paths):
        raise ValueError(f"{len(paths)} modules were to be adapted, {len(layers)} were")
    draw = Draw(plan.seed) if plan.lora_dropout else None
    if draw is not None:
        for path, layer in layers.items():
            layer.lora_dropout[NAME] = Dropout(draw, share=plan.lora_dropout, path=path)
    adapter = Adapter(
        denoiser=denoiser,
        encoders=taught,
        rank=rank,
        scale=alpha / rank,
        draw=draw,
        downs={path: _fp32(layer.lora_A[NAME]) for path, layer in layers.items()},
        ups={path: _fp32(layer.lora_B[NAME]) for path, layer in layers.items()},
    )
    adapter.load(fresh(adapter, plan.seed))
    return adapter


def _injected(module: nn.Module, paths: list[str], plan: Plan, alpha: float) -> dict[str, LoraLayer]:
    """The new layers by path. Freezes the module."""
    module.requires_grad_(False)
    config = LoraConfig(r=plan.rank, lora_alpha=alpha, target_modules=paths, lora_dropout=0.0, bias="none")
    inject_adapter_in_model(config, module, adapter_name=NAME)
    return {path: layer for path, layer in module.named_modules() if isinstance(layer, LoraLayer)}


def fresh(adapter: Adapter, seed: int) -> dict[str, Tensor]:
    """The parameters before step 1."""
    return {
        name: torch.zeros_like(parameter) if name.endswith(".up") else _uniform(parameter, seed, name)
        for name, parameter in adapter.parameters.items()
    }


def _uniform(parameter: Tensor, seed: int, name: str) -> Tensor:
    """Within 1 / sqrt(inputs) of zero."""
    bound = (parameter[0].numel()) ** -0.5
    return (uniform(tuple(parameter.shape), seed, 0, f"adapter-{name}") * 2.0 - 1.0) * bound


def _fp32(module: nn.Module) -> nn.Parameter:
    module.float()
    weight = module.weight
    if not isinstance(weight, nn.Parameter):
        raise TypeError("an adapter's weight is no parameter")
    weight.requires_grad_(True)
    return weight
