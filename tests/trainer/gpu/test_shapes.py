"""The stored lists of modules and names are those of the installed diffusers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from diffusers import Flux2KleinPipeline, FluxPipeline, StableDiffusionPipeline, ZImagePipeline
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from storage.lora_file import Component, key_of, layout_of
from storage.lora_file.keymaps import keymap
from trainer.gpu.shapes import BASES, full_size, module_shapes


@pytest.mark.parametrize("base", BASES)
def test_the_stored_modules_are_those_of_the_published_configuration(base: str) -> None:
    assert module_shapes(base) == keymap(base).modules


PIPELINES: dict[str, Any] = {
    "sd15": StableDiffusionPipeline,
    "flux1-dev": FluxPipeline,
    "flux2-klein-4b": Flux2KleinPipeline,
    "z-image": ZImagePipeline,
}
# Some blocks stand for all: every kind of layer is in them.
SOME = ("down_blocks.0.", "encoder.layers.3.", "transformer_blocks.1.", "layers.7.", "refiner.1.")


def without_weights(base: str) -> dict[Component, nn.Module]:
    """Full-size models on the CPU whose every parameter is one zero, expanded."""
    models = full_size(base)
    for module in (module for model in models.values() for module in model.modules()):
        for name, parameter in [*module.named_parameters(recurse=False)]:
            zero = nn.Parameter(torch.zeros(1).expand(parameter.shape), requires_grad=False)
            setattr(module, name, zero)
        for name, buffer in [*module.named_buffers(recurse=False)]:
            module.register_buffer(name, torch.zeros(buffer.shape, dtype=buffer.dtype), persistent=False)
    return models


def chosen(base: str) -> Iterator[tuple[Component, str, tuple[int, ...]]]:
    for part, modules in keymap(base).modules.items():
        yield from ((part, path, shape) for path, shape in modules.items() if any(some in path for some in SOME))


def loaded(base: str, file: dict[str, Tensor], models: dict[Component, nn.Module]) -> None:
    """As the pipeline's load_lora_weights does it, without a pipeline."""
    stock, wish = PIPELINES[base], {"adapter_name": "a", "low_cpu_mem_usage": False}
    if base == "sd15":
        state, alphas = stock.lora_state_dict(file)
        stock.load_lora_into_unet(state, network_alphas=alphas, unet=models["unet"], **wish)
        stock.load_lora_into_text_encoder(
            state, network_alphas=alphas, text_encoder=models["text_encoder"], prefix="text_encoder", **wish
        )
        return
    state = stock.lora_state_dict(file)
    more = {"network_alphas": None} if base == "flux1-dev" else {}
    stock.load_lora_into_transformer(state, transformer=models["transformer"], **more, **wish)


def first(matrix: Tensor) -> float:
    return float(matrix.detach().flatten()[0])


@pytest.mark.parametrize("base", PIPELINES)
def test_diffusers_puts_every_matrix_of_our_layout_where_it_belongs(base: str) -> None:
    layout, models = layout_of(base), without_weights(base)
    wanted, file = {}, {}
    for number, (part, path, (out, *rest)) in enumerate(chosen(base), start=1):
        name = key_of(layout, part, path)
        file[name + layout.down] = torch.full((1, *rest), float(number))
        file[name + layout.up] = torch.ones(out, 1, *[1] * (len(rest) - 1))
        if layout.alpha is not None:
            file[name + layout.alpha] = torch.tensor(1.0)
        wanted[part, path] = float(number)
    loaded(base, file, models)
    arrived = {
        (part, path): layer.scaling["a"] * first(layer.lora_A["a"].weight) * first(layer.lora_B["a"].weight)
        for part, model in models.items()
        for path, layer in model.named_modules()
        if isinstance(layer, BaseTunerLayer)
    }
    assert len(wanted) >= 10
    assert arrived == wanted
