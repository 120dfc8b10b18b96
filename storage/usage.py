"""How to use a delivered LoRA in the tools that people have: three short lines, the same on the card and on the page."""

from __future__ import annotations

from storage.domain.bases import BASES
from storage.domain.orders import prompt_with
from storage.lora_file.architectures import ARCHITECTURES
from storage.lora_file.keymaps import unchecked


def licence_of(base: str) -> str:
    """The licence line of a base model: a LoRA is used under its base's terms."""
    return BASES[base].terms if base in BASES else f"the licence of {base}"


def how_to_use(
    *, base: str, stem: str, trigger: str, class_word: str, scale: float, subject_type: str
) -> list[tuple[str, str]]:
    """(tool, what to do) for ComfyUI, A1111 and Forge, and diffusers; "not checked" where a tool was not asked."""
    words = prompt_with(trigger=trigger, class_word=class_word, subject_type=subject_type)
    webui, not_asked = _webui(base)
    return [
        (
            "ComfyUI",
            f"put the file into models/loras and drop the preview picture on the canvas, or Load LoRA at {scale:.2f}.",
        ),
        (
            webui,
            not_asked or f"put file and json into models/Lora and write <lora:{stem}:{scale:.2f}> {words}",
        ),
        (
            "diffusers",
            f'pipe.load_lora_weights("{stem}.safetensors", adapter_name="a"); pipe.set_adapters("a", {scale:.2f}) on {base}',
        ),
    ]


def _webui(base: str) -> tuple[str, str]:
    """Which of A1111 and Forge to name, and what to say instead of a how-to where neither was asked about this base."""
    if base == "pocket" or base not in ARCHITECTURES:
        return "A1111 / Forge", ""
    missing = unchecked(ARCHITECTURES[base].keymap)
    if {"a1111", "forge"} <= missing:
        return "A1111 / Forge", f"not checked with {ARCHITECTURES[base].title}: no version that we could run knows it."
    return ("Forge", "") if "a1111" in missing else ("A1111 / Forge", "")
