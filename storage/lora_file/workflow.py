"""What a preview PNG carries: a ComfyUI workflow with the LoRA's strength set, and A1111's line of parameters.

Dropping such a picture into either program sets up the LoRA, its weight and the trigger without typing.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass

from PIL import Image
from PIL.PngImagePlugin import PngInfo


@dataclass(frozen=True, kw_only=True)
class Preview:
    """How one preview was drawn."""

    prompt: str  # with the trigger
    negative: str
    lora: str  # file name, with .safetensors
    lora_sha256: str  # of the tensor bytes: `sshs_model_hash`
    scale: float
    checkpoint: str  # file name of the base model in the user's folder
    width: int  # px
    height: int
    steps: int
    guidance: float
    seed: int
    sampler: str = "euler"  # ComfyUI's name
    sampler_a1111: str = "Euler"
    scheduler: str = "normal"


@dataclass(frozen=True, kw_only=True)
class _Node:
    kind: str  # class name in ComfyUI's nodes.py
    links: tuple[tuple[str, int, int, str], ...] = ()  # input name, node it comes from, output slot, type
    widgets: tuple[tuple[str, object], ...] = ()  # in the order of ComfyUI's INPUT_TYPES
    outputs: tuple[str, ...] = ()  # types
    at: tuple[int, int] = (0, 0)  # px on the canvas


def comfy_prompt(preview: Preview) -> dict[str, dict[str, object]]:
    """The workflow in ComfyUI's API form, as its `prompt` chunk and its /prompt endpoint take it."""
    return {
        str(number): {
            "class_type": node.kind,
            "inputs": dict(node.widgets) | {name: [str(source), slot] for name, source, slot, _ in node.links},
        }
        for number, node in _graph(preview).items()
    }


def comfy_workflow(preview: Preview) -> dict[str, object]:
    """The same workflow in the form of ComfyUI's editor (version 0.4), as its `workflow` chunk."""
    graph = _graph(preview)
    links = _numbered_links(graph)
    return {
        "last_node_id": max(graph),
        "last_link_id": len(links),
        "nodes": [_editor_node(number, node, links) for number, node in graph.items()],
        "links": links,
        "groups": [],
        "config": {},
        "extra": {},
        "version": 0.4,
    }


def a1111_infotext(preview: Preview) -> str:
    """The `parameters` text that A1111 and Forge read back, with the LoRA's tag in the prompt."""
    name = preview.lora.removesuffix(".safetensors")
    settings = {
        "Steps": preview.steps,
        "Sampler": preview.sampler_a1111,
        "CFG scale": f"{preview.guidance:g}",
        "Seed": preview.seed,
        "Size": f"{preview.width}x{preview.height}",
        "Model": preview.checkpoint.rsplit(".", 1)[0],
        "Lora hashes": f'"{name}: {preview.lora_sha256[:12]}"',
    }
    lines = [f"{_one_line(preview.prompt)} <lora:{name}:{preview.scale:g}>"]
    if preview.negative:
        lines.append(f"Negative prompt: {_one_line(preview.negative)}")
    lines.append(", ".join(f"{key}: {value}" for key, value in settings.items()))
    return "\n".join(lines)


def png_with_workflow(image: Image.Image, preview: Preview) -> bytes:
    """The picture as PNG with the chunks `workflow`, `prompt` (ComfyUI) and `parameters` (A1111)."""
    chunks = PngInfo()
    chunks.add_text("prompt", json.dumps(comfy_prompt(preview)))
    chunks.add_text("workflow", json.dumps(comfy_workflow(preview)))
    chunks.add_text("parameters", a1111_infotext(preview))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", pnginfo=chunks)
    return buffer.getvalue()


def _graph(preview: Preview) -> dict[int, _Node]:
    """Loader, LoRA, two prompts, sampler, decoder, saver; names and order of inputs as in ComfyUI's nodes.py."""
    sampling = (
        ("seed", preview.seed),
        ("steps", preview.steps),
        ("cfg", float(preview.guidance)),
        ("sampler_name", preview.sampler),
        ("scheduler", preview.scheduler),
        ("denoise", 1.0),
    )
    lora = (
        ("lora_name", preview.lora),
        ("strength_model", float(preview.scale)),
        ("strength_clip", float(preview.scale)),
    )
    size = (("width", preview.width), ("height", preview.height), ("batch_size", 1))
    drawn_from = (
        ("model", 2, 0, "MODEL"),
        ("positive", 3, 0, "CONDITIONING"),
        ("negative", 4, 0, "CONDITIONING"),
        ("latent_image", 5, 0, "LATENT"),
    )
    clip = (("clip", 2, 1, "CLIP"),)
    return {
        1: _Node(
            kind="CheckpointLoaderSimple",
            widgets=(("ckpt_name", preview.checkpoint),),
            outputs=("MODEL", "CLIP", "VAE"),
            at=(0, 0),
        ),
        2: _Node(
            kind="LoraLoader",
            links=(("model", 1, 0, "MODEL"), ("clip", 1, 1, "CLIP")),
            widgets=lora,
            outputs=("MODEL", "CLIP"),
            at=(380, 0),
        ),
        3: _text_node(preview.prompt, clip, at=(760, -160)),
        4: _text_node(preview.negative, clip, at=(760, 80)),
        5: _Node(kind="EmptyLatentImage", widgets=size, outputs=("LATENT",), at=(760, 320)),
        6: _Node(kind="KSampler", links=drawn_from, widgets=sampling, outputs=("LATENT",), at=(1220, 0)),
        7: _Node(
            kind="VAEDecode",
            links=(("samples", 6, 0, "LATENT"), ("vae", 1, 2, "VAE")),
            outputs=("IMAGE",),
            at=(1600, 0),
        ),
        8: _Node(
            kind="SaveImage",
            links=(("images", 7, 0, "IMAGE"),),
            widgets=(("filename_prefix", "lorasmith"),),
            at=(1850, 0),
        ),
    }


def _text_node(text: str, clip: tuple[tuple[str, int, int, str], ...], *, at: tuple[int, int]) -> _Node:
    return _Node(kind="CLIPTextEncode", links=clip, widgets=(("text", text),), outputs=("CONDITIONING",), at=at)


def _numbered_links(graph: dict[int, _Node]) -> list[list[object]]:
    """[link id, from node, from slot, to node, to slot, type], numbered from 1 in reading order."""
    found: list[list[object]] = []
    for number, node in graph.items():
        for slot, (_, source, source_slot, kind) in enumerate(node.links):
            found.append([len(found) + 1, source, source_slot, number, slot, kind])
    return found


def _editor_node(number: int, node: _Node, links: list[list[object]]) -> dict[str, object]:
    into = {link[4]: link[0] for link in links if link[3] == number}
    return {
        "id": number,
        "type": node.kind,
        "pos": list(node.at),
        "size": [340, 180],
        "flags": {},
        "order": number - 1,
        "mode": 0,
        "inputs": [
            {"name": name, "type": kind, "link": into[slot]} for slot, (name, _, _, kind) in enumerate(node.links)
        ],
        "outputs": [
            {
                "name": kind,
                "type": kind,
                "slot_index": slot,
                "links": [link[0] for link in links if link[1] == number and link[2] == slot],
            }
            for slot, kind in enumerate(node.outputs)
        ],
        "properties": {"Node name for S&R": node.kind},
        "widgets_values": _widget_values(node),
    }


def _widget_values(node: _Node) -> list[object]:
    """The editor keeps one more widget after a seed: what to do with it after each picture."""
    values: list[object] = []
    for name, value in node.widgets:
        values.append(value)
        if name == "seed":
            values.append("fixed")
    return values


def _one_line(text: str) -> str:
    """Line breaks structure an infotext, so a prompt has none."""
    return " ".join(text.split())
