from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from storage.domain.bases import BASES
from storage.lora_file.graphs import Preview
from storage.lora_file.workflow import a1111_infotext, comfy_prompt, comfy_workflow, png_with_workflow

PREVIEW = Preview(
    base="sdxl",
    prompt="a photo of sks dog\non grass",
    negative="blurry",
    lora="sks-dog.safetensors",
    lora_sha256="0123456789abcdef" * 4,
    scale=0.8,
    checkpoint="sd_xl_base_1.0.safetensors",
    width=1024,
    height=768,
    steps=28,
    guidance=6.5,
    seed=7,
)

PREVIEWS = [replace(PREVIEW, base=base.name, checkpoint=base.checkpoint) for base in BASES.values()]
per_base = pytest.mark.parametrize("preview", PREVIEWS, ids=lambda p: p.base)

# ComfyUI's own definitions of the nodes; the file says from which commits.
NODES: dict[str, Any] = json.loads((Path(__file__).parent / "comfyui_nodes.json").read_text())["nodes"]


@per_base
def test_the_workflow_gives_every_node_exactly_the_inputs_that_comfyui_defines(preview: Preview) -> None:
    for node in comfy_prompt(preview).values():
        inputs = node["inputs"]
        assert isinstance(inputs, dict)
        assert inputs.keys() == NODES[str(node["class_type"])]["inputs"].keys()


@per_base
def test_every_value_is_of_the_type_and_within_the_limits_of_its_node(preview: Preview) -> None:
    kinds = {"INT": int, "FLOAT": float, "STRING": str, "COMBO": str}
    for node in comfy_prompt(preview).values():
        for name, value in dict(node["inputs"]).items():  # type: ignore[call-overload]
            wanted = NODES[str(node["class_type"])]["inputs"][name]
            if wanted["type"] in kinds:
                assert isinstance(value, kinds[wanted["type"]])
                assert "choices" not in wanted or value in wanted["choices"]
                assert "min" not in wanted or wanted["min"] <= value <= wanted["max"]


@per_base
def test_every_link_joins_an_output_to_an_input_of_its_type_and_every_node_has_its_use(preview: Preview) -> None:
    graph: dict[str, Any] = comfy_prompt(preview)
    used: set[str] = set()
    for node in graph.values():
        for name, value in node["inputs"].items():
            if isinstance(value, list):
                source, slot = value
                used.add(source)
                wanted = NODES[node["class_type"]]["inputs"][name]["type"]
                assert NODES[graph[source]["class_type"]]["outputs"][slot] == wanted
    assert {number for number in graph if number not in used} == {"8"}, "all but the file at the end feed another node"


@pytest.mark.parametrize(
    ("base", "loaders"),
    [
        ("sd15", {"CheckpointLoaderSimple": "v1-5-pruned-emaonly.safetensors"}),
        ("flux1-dev", {"UNETLoader": "flux1-dev.safetensors", "VAELoader": "ae.safetensors"}),
        ("flux2-klein-4b", {"CLIPLoader": "qwen_3_4b.safetensors", "VAELoader": "flux2-vae.safetensors"}),
        ("flux2-klein-9b", {"CLIPLoader": "qwen_3_8b.safetensors", "UNETLoader": "flux-2-klein-base-9b.safetensors"}),
        ("z-image", {"UNETLoader": "z_image_bf16.safetensors", "CLIPLoader": "qwen_3_4b.safetensors"}),
    ],
)
def test_each_family_is_loaded_by_the_nodes_that_read_its_files(base: str, loaders: dict[str, str]) -> None:
    graph: dict[str, Any] = comfy_prompt(replace(PREVIEW, base=base, checkpoint=BASES[base].checkpoint))
    found = {node["class_type"]: next(iter(node["inputs"].values())) for node in graph.values()}
    assert {kind: found.get(kind) for kind in loaders} == loaders
    assert ("CheckpointLoaderSimple" in found) == (base == "sd15")


def test_distilled_guidance_goes_with_the_prompt_and_not_into_the_sampler() -> None:
    flux = replace(PREVIEW, base="flux1-dev", guidance=3.5)
    nodes: dict[str, Any] = {str(n["class_type"]): n["inputs"] for n in comfy_prompt(flux).values()}
    assert (nodes["FluxGuidance"]["guidance"], nodes["KSampler"]["cfg"]) == (3.5, 1.0)
    assert "CFG scale: 1, Distilled CFG Scale: 3.5" in a1111_infotext(flux)


@per_base
def test_the_editor_form_says_the_same_as_the_api_form(preview: Preview) -> None:
    workflow: dict[str, Any] = comfy_workflow(preview)
    graph: dict[str, Any] = comfy_prompt(preview)
    links = {link[0]: link for link in workflow["links"]}
    for node in workflow["nodes"]:
        inputs = graph[str(node["id"])]["inputs"]
        assert NODES[node["type"]]["outputs"] == [output["type"] for output in node["outputs"]]
        for slot, entry in enumerate(node["inputs"]):
            _, source, source_slot, to, to_slot, kind = links[entry["link"]]
            assert (to, to_slot, kind) == (node["id"], slot, entry["type"])
            assert inputs[entry["name"]] == [str(source), source_slot]
        widgets = [value for name, value in inputs.items() if not isinstance(value, list)]
        assert [value for value in node["widgets_values"] if value != "fixed"] == widgets
        order = [name for name in NODES[node["type"]]["inputs"] if not isinstance(inputs[name], list)]
        assert order == [name for name in inputs if not isinstance(inputs[name], list)]


def test_strength_and_trigger_are_set_in_the_lora_node() -> None:
    graph: dict[str, Any] = comfy_prompt(PREVIEW)
    (lora,) = [node["inputs"] for node in graph.values() if node["class_type"] == "LoraLoader"]
    assert lora["lora_name"] == "sks-dog.safetensors"
    assert lora["strength_model"] == lora["strength_clip"] == 0.8
    assert any("sks dog" in str(node["inputs"].get("text")) for node in graph.values())


def test_the_infotext_has_the_tag_and_keeps_to_its_three_lines() -> None:
    assert a1111_infotext(PREVIEW).splitlines() == [
        "a photo of sks dog on grass <lora:sks-dog:0.8>",
        "Negative prompt: blurry",
        (
            "Steps: 28, Sampler: Euler, CFG scale: 6.5, Seed: 7, Size: 1024x768, Model: sd_xl_base_1.0, "
            'Lora hashes: "sks-dog: 0123456789ab"'
        ),
    ]
    assert "Negative prompt" not in a1111_infotext(replace(PREVIEW, negative=""))


def test_the_picture_carries_all_three_texts_and_keeps_its_pixels() -> None:
    image = Image.linear_gradient("L").convert("RGB")
    png = png_with_workflow(image, replace(PREVIEW, prompt="sks Hündchen 犬"))
    with Image.open(io.BytesIO(png)) as read:
        read.load()
        texts: dict[str, str] = read.text  # type: ignore[attr-defined]
        assert read.tobytes() == image.tobytes()
    assert json.loads(texts["prompt"])["3"]["inputs"]["text"] == "sks Hündchen 犬"
    assert json.loads(texts["workflow"])["version"] == 0.4
    assert texts["parameters"].startswith("sks Hündchen 犬 <lora:sks-dog:0.8>")
    assert png == png_with_workflow(image, replace(PREVIEW, prompt="sks Hündchen 犬"))
