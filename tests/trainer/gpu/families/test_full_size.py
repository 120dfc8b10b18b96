"""The presets on the published sizes: which layers they are, and that ComfyUI and diffusers use every key of their files."""

from __future__ import annotations

import re

import pytest
import torch

from storage.lora_file.keymaps import keymap
from tests.full_size_bases import pipeline_of
from tests.tiny_bases import ALIKE, TINY
from trainer.gpu import export
from trainer.gpu.families import FAMILIES, flux, flux2, stock, zimage
from trainer.gpu.shapes import full_size

PRESETS = {
    "flux1-dev": flux._PRESETS,
    "flux2-klein-4b": flux2._PRESETS,
    "flux2-klein-9b": flux2._PRESETS,
    "z-image": zimage._PRESETS,
}
COUNTS = {
    "flux1-dev": (19 * 8 + 38 * 3, 19 * 12 + 38 * 5),
    "flux2-klein-4b": (5 * 8 + 20 * 2, 5 * 12 + 20 * 2),
    "flux2-klein-9b": (8 * 8 + 24 * 2, 8 * 12 + 24 * 2),
    "z-image": (34 * 4, 34 * 7),
}
"""(attention, attention+ff) of double and single blocks, of layers and refiners."""


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_at_full_size_are_used_whole_by_comfyui_and_diffusers(name: str) -> None:
    denoiser = full_size(name)["transformer"]
    modules = dict(denoiser.named_modules())
    known = {tool.name: tool for tool in keymap(name).tools}
    counts = []
    for preset in ("attention", "attention+ff"):
        paths = stock.targets(denoiser, PRESETS[name], preset, name)
        counts.append(len(paths))
        shapes = {path: modules[path].weight.shape for path in paths}
        pairs = {
            path: (torch.zeros(1, shape[1], dtype=torch.float16), torch.zeros(shape[0], 1, dtype=torch.float16))
            for path, shape in shapes.items()
        }
        keys = list(export.named(pairs, name))
        assert len(keys) >= 2 * len(paths)
        for tool in ("ComfyUI", "diffusers"):
            assert known[tool].checked
            assert known[tool].dropped(keys) == []
    assert tuple(counts) == COUNTS[name]


@pytest.mark.parametrize(("name", "like"), sorted(ALIKE.items()))
def test_a_base_without_a_tiny_one_differs_from_its_relative_in_sizes_alone(name: str, like: str) -> None:
    """So that what the contract, the golden loss and the objective say of the one holds for the other."""
    assert FAMILIES[name] is FAMILIES[like]
    one, other = (full_size(base)["transformer"] for base in (name, like))
    assert type(one) is type(other)
    differ = {key for key in one.config if one.config[key] != other.config[key]}
    assert differ == {"num_layers", "num_single_layers", "num_attention_heads", "joint_attention_dim"}
    assert _kinds(one) == _kinds(other)
    for base, denoiser in ((name, one), (like, other)):
        encoder = pipeline_of(base).text_encoder.config
        assert denoiser.config.joint_attention_dim == 3 * encoder.hidden_size
        assert encoder.num_hidden_layers == 36


def test_every_base_that_can_be_trained_has_a_tiny_one_or_a_relative_with_one() -> None:
    assert {*TINY, *ALIKE} == set(FAMILIES)
    assert set(ALIKE.values()) <= set(TINY)


def _kinds(model: torch.nn.Module) -> set[tuple[str, str]]:
    """Names of modules without the numbers of blocks, with their classes."""
    return {(re.sub(r"\d+", "0", path), type(part).__name__) for path, part in model.named_modules()}


def test_a_second_denoiser_takes_no_second_place_in_memory() -> None:
    first = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4))
    second = stock.copied(first)
    assert second[0] is not first[0]
    assert all(a is b for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert all(a is b for a, b in zip(first.buffers(), second.buffers(), strict=True))
