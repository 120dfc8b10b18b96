"""The presets on the published sizes: which layers they are, and that ComfyUI and diffusers use every key of their files."""

from __future__ import annotations

import pytest
import torch

from storage.lora_file.keymaps import keymap
from trainer.gpu import export
from trainer.gpu.families import flux, flux2, stock, zimage
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


def test_a_second_denoiser_takes_no_second_place_in_memory() -> None:
    first = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4))
    second = stock.copied(first)
    assert second[0] is not first[0]
    assert all(a is b for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert all(a is b for a, b in zip(first.buffers(), second.buffers(), strict=True))
