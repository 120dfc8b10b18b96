from __future__ import annotations

import gzip
import hashlib
import json
import re
from importlib.resources import files
from typing import Any

import pytest
from full_size import PRESETS, tensors_for

from storage.lora_file import kohya_key, paths_by_key
from storage.lora_file.architectures import ARCHITECTURES
from storage.lora_file.keymaps import Tool, keymap

TOOLS = {tool.id: tool for tool in keymap("sdxl").tools}


def raw(name: str) -> dict[str, Any]:
    folder = files("storage") / "keymaps"
    packed = folder / f"{name}.json.gz"
    text = gzip.decompress(packed.read_bytes()) if packed.is_file() else (folder / f"{name}.json").read_bytes()
    data: dict[str, Any] = json.loads(text)
    return data


@pytest.mark.parametrize("name", ["sdxl", "pocket"])
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
def test_our_names_of_all_modules_are_different(name: str) -> None:
    modules = keymap(name).modules
    back = paths_by_key(modules)
    assert len(back) == sum(len(paths) for paths in modules.values())
    assert all(kohya_key(component, path) == key for key, (component, path) in back.items())
