"""How to use a delivered LoRA in the tools that people have: three short lines, the same on the card and on the page."""

from __future__ import annotations

from storage.domain.orders import prompt_with

LICENCES: dict[str, str] = {
    "pocket": "the embedded pocket model, MIT",
    "sdxl": "Stable Diffusion XL, CreativeML Open RAIL++-M: free to use and share; its use restrictions go along",
}
"""Licence of the base models by name: a LoRA is used under its base's terms."""


def licence_of(base: str) -> str:
    """The licence line of a base model."""
    return LICENCES.get(base, f"the licence of {base}")


def how_to_use(
    *, base: str, stem: str, trigger: str, class_word: str, scale: float, subject_type: str
) -> list[tuple[str, str]]:
    """(tool, what to do) for ComfyUI, A1111 and Forge, and diffusers."""
    words = prompt_with(trigger=trigger, class_word=class_word, subject_type=subject_type)
    return [
        (
            "ComfyUI",
            f"put the file into models/loras and drop the preview picture on the canvas, or Load LoRA at {scale:.2f}.",
        ),
        ("A1111 / Forge", f"put file and json into models/Lora and write <lora:{stem}:{scale:.2f}> {words}"),
        (
            "diffusers",
            f'pipe.load_lora_weights("{stem}.safetensors", adapter_name="a"); pipe.set_adapters("a", {scale:.2f}) on {base}',
        ),
    ]
