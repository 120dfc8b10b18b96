"""What a preview PNG carries: a ComfyUI workflow with the LoRA's strength set, and A1111's line of parameters.

Dropping such a picture into either program sets up the LoRA, its weight and the trigger without typing. Which nodes draw it is
in `graphs`.
"""

from __future__ import annotations

import io
import json

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from storage.lora_file.graphs import Graph, Node, Preview, graph_of


def comfy_prompt(preview: Preview) -> dict[str, dict[str, object]]:
    """The workflow in ComfyUI's API form, as its `prompt` chunk and its /prompt endpoint take it."""
    return {
        str(number): {
            "class_type": node.kind,
            "inputs": dict(node.widgets) | {name: [str(source), slot] for name, source, slot, _ in node.links},
        }
        for number, node in graph_of(preview).items()
    }


def comfy_workflow(preview: Preview) -> dict[str, object]:
    """The same workflow in the form of ComfyUI's editor (version 0.4), as its `workflow` chunk."""
    graph = graph_of(preview)
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
        "Sampler": "Euler",
        **_guidance(preview),
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


def _guidance(preview: Preview) -> dict[str, object]:
    """FLUX.1's guidance is distilled: Forge knows it by another name, and the usual one is 1."""
    if preview.family == "flux1":
        return {"Schedule type": "Simple", "CFG scale": "1", "Distilled CFG Scale": f"{preview.guidance:g}"}
    return {"CFG scale": f"{preview.guidance:g}"}


def png_with_workflow(image: Image.Image, preview: Preview) -> bytes:
    """The picture as PNG with the chunks `workflow`, `prompt` (ComfyUI) and `parameters` (A1111)."""
    chunks = PngInfo()
    chunks.add_text("prompt", json.dumps(comfy_prompt(preview)))
    chunks.add_text("workflow", json.dumps(comfy_workflow(preview)))
    chunks.add_text("parameters", a1111_infotext(preview))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", pnginfo=chunks)
    return buffer.getvalue()


def _numbered_links(graph: Graph) -> list[list[object]]:
    """[link id, from node, from slot, to node, to slot, type], numbered from 1 in reading order."""
    found: list[list[object]] = []
    for number, node in graph.items():
        for slot, (_, source, source_slot, kind) in enumerate(node.links):
            found.append([len(found) + 1, source, source_slot, number, slot, kind])
    return found


def _editor_node(number: int, node: Node, links: list[list[object]]) -> dict[str, object]:
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


def _widget_values(node: Node) -> list[object]:
    """The editor keeps one more widget after a seed: what to do with it after each picture."""
    values: list[object] = []
    for name, value in node.widgets:
        values.append(value)
        if name in ("seed", "noise_seed"):
            values.append("fixed")
    return values


def _one_line(text: str) -> str:
    """Line breaks structure an infotext, so a prompt has none."""
    return " ".join(text.split())
