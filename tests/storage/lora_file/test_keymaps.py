from __future__ import annotations

import gzip
import hashlib
import json
import math
import re
from importlib.resources import files
from itertools import accumulate
from typing import Any

import pytest
from full_size import PRESETS, names_of, tensors_for

from storage.lora_file import LAYOUTS, key_of, layout_of, paths_by_key
from storage.lora_file.architectures import ARCHITECTURES
from storage.lora_file.keymaps import Tool, keymap
from storage.lora_file.spelling import joint

TOOLS = {tool.id: tool for tool in keymap("sdxl").tools}


def raw(name: str) -> dict[str, Any]:
    folder = files("storage") / "keymaps"
    packed = folder / f"{name}.json.gz"
    text = gzip.decompress(packed.read_bytes()) if packed.is_file() else (folder / f"{name}.json").read_bytes()
    data: dict[str, Any] = json.loads(text)
    return data


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_list_says_where_it_is_from_and_has_its_hash(name: str) -> None:
    for tool in raw(name)["tools"]:
        assert tool["repository"].startswith("https://github.com/")
        assert len(tool["how"]) > 40
        for layout in tool["layouts"]:
            assert re.fullmatch(r"[0-9a-f]{40}|v\d+\.\d+\.\d+", tool["commit"])
            assert layout["modules"] == sorted(set(layout["modules"]))
            assert layout["count"] == len(layout["modules"])
            assert layout["sha256"] == hashlib.sha256("\n".join(layout["modules"]).encode()).hexdigest()


def test_the_tools_that_people_use_with_sdxl_were_all_asked() -> None:
    assert TOOLS.keys() == {"comfyui", "forge", "a1111", "sd-scripts", "diffusers"}
    assert all(tool.checked for tool in TOOLS.values())


def test_the_shapes_are_those_of_the_published_sdxl() -> None:
    unet = keymap("sdxl").modules["unet"]
    assert len(unet) == 794
    assert sum(out * rest[0] * (rest[1] * rest[2] if rest[1:] else 1) for out, *rest in unet.values()) == 2_565_880_320
    assert unet["mid_block.attentions.0.transformer_blocks.9.attn2.to_k"] == (1280, 2048)


@pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS.keys())
@pytest.mark.parametrize("preset", PRESETS)
def test_every_key_of_ours_is_used_by_every_tool(tool: Tool, preset: str) -> None:
    keys = list(tensors_for(PRESETS[preset]))
    assert len(keys) >= 3 * 560
    assert tool.dropped(keys) == []


def test_the_presets_are_as_large_as_they_should_be() -> None:
    counts = {preset: len(tensors_for(targets)) // 3 for preset, targets in PRESETS.items()}
    assert counts["attention"] == 560  # 70 transformer blocks, two attentions of four
    assert counts["attention, ff and proj"] == 722
    assert counts["with both text encoders"] - counts["with resnet convolutions"] == 12 * 6 + 32 * 6


def test_text_encoder_names_without_text_model_are_known_to_nobody() -> None:
    key = "lora_te1_encoder_layers_0_self_attn_q_proj.lora_down.weight"
    assert all(tool.dropped([key]) == [key] for tool in TOOLS.values())


def test_names_of_diffusers_are_known_to_diffusers_but_not_to_a1111() -> None:
    key = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.weight"
    assert TOOLS["diffusers"].dropped([key]) == []
    assert TOOLS["comfyui"].dropped([key]) == TOOLS["a1111"].dropped([key]) == [key]


def test_a_module_outside_the_presets_is_known_only_to_some() -> None:
    key = "lora_unet_conv_in.lora_down.weight"
    assert TOOLS["comfyui"].dropped([key]) == []
    assert TOOLS["sd-scripts"].dropped([key]) == [key]


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("choice", [0, 1])
def test_names_lead_back_to_their_modules(name: str, choice: int) -> None:
    modules, layout = keymap(name).modules, LAYOUTS[name][choice]
    if layout.native:
        return
    back = paths_by_key(modules, layout)
    assert len(back) == sum(len(paths) for paths in modules.values())
    assert all(key_of(layout, component, path) == key for key, (component, path) in back.items())


# Tools that do not load a family, or whose code could not be had: said as "not checked" by `check`, README and the card.
NOT_CHECKED = {
    "sd15": set(),
    "sdxl": set(),
    "flux1-dev": {"a1111"},
    "flux2-klein-4b": {"forge", "a1111", "sd-scripts"},
    "flux2-klein-9b": {"forge", "a1111", "sd-scripts"},
    "z-image": {"forge", "a1111", "sd-scripts"},
}


@pytest.mark.parametrize("name", NOT_CHECKED)
def test_what_was_not_asked_is_known(name: str) -> None:
    assert {tool.id for tool in keymap(name).tools if not tool.checked} == NOT_CHECKED[name]
    assert {tool.id for tool in keymap(name).tools} == TOOLS.keys()


@pytest.mark.parametrize("name", NOT_CHECKED)
def test_the_layout_that_we_write_is_used_to_the_last_key_by_every_tool_that_draws(name: str) -> None:
    keys = names_of(name)
    assert len(keys) >= 200
    drawing = [tool for tool in keymap(name).tools if tool.checked and (name, tool.id) != ("flux1-dev", "sd-scripts")]
    assert {tool.id: tool.dropped(keys) for tool in drawing} == {tool.id: [] for tool in drawing}


def test_sd_scripts_reads_flux_in_the_layout_that_convert_writes_for_it() -> None:
    (tool,) = [tool for tool in keymap("flux1-dev").tools if tool.id == "sd-scripts"]
    assert len(tool.dropped(names_of("flux1-dev"))) == len(names_of("flux1-dev"))
    assert tool.dropped(names_of("flux1-dev", layout_of("flux1-dev", "kohya"))) == []


@pytest.mark.parametrize("name", NOT_CHECKED)
def test_every_tool_that_was_asked_uses_every_key_of_the_kohya_layout(name: str) -> None:
    keys = names_of(name, layout_of(name, "kohya"))
    assert all(tool.dropped(keys) == [] for tool in keymap(name).tools if tool.checked)


# Parameters in linear and convolutional layers, of the published sizes (0.86, 11.9, 3.9, 9.1 and 6.2 thousand million).
WEIGHTS = {
    "sd15": 859_077_120,
    "flux1-dev": 11_898_322_944,
    "flux2-klein-4b": 3_875_536_896,
    "flux2-klein-9b": 9_078_571_008,
    "z-image": 6_153_863_168,
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_the_shapes_are_those_of_the_published_models(name: str) -> None:
    (denoiser,) = [part for part in keymap(name).modules if part in ("unet", "transformer")]
    assert sum(math.prod(shape) for shape in keymap(name).modules[denoiser].values()) == WEIGHTS[name]


@pytest.mark.parametrize("name", NOT_CHECKED)
def test_joint_matrices_are_filled_without_gap_by_their_modules(name: str) -> None:
    for path, slots in joint(name).items():
        starts = [slot.start for slot in slots]
        if starts == [None]:
            continue
        assert starts == list(accumulate((slot.shape[0] for slot in slots[:-1]), initial=0)), path
