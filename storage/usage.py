"""How to use a delivered LoRA in the tools that people have: three short lines, the same on the card and on the page."""

from __future__ import annotations

from dataclasses import dataclass

from storage.domain.bases import BASES
from storage.domain.orders import prompt_with
from storage.lora_file.architectures import ARCHITECTURES
from storage.lora_file.keymaps import unchecked
from storage.speech import _, translated


def licence_of(base: str) -> str:
    """The licence line of a base model: a LoRA is used under its base's terms."""
    if base not in BASES:
        return _("the licence of {base}", base=base)
    known = BASES[base]
    name = translated(known.licence.name)
    if not known.licence.says:
        return name
    return _("{base}, {licence}: {terms}", base=known.title, licence=name, terms=translated(known.licence.says))


@dataclass(frozen=True, kw_only=True)
class Use:
    """One tool: what to do in words, and what to write as it stands."""

    tool: str
    say: str
    code: str = ""


def how_to_use(
    *, base: str, stem: str, trigger: str, class_word: str, scale: float, subject_type: str, words: str = ""
) -> list[Use]:
    """ComfyUI, A1111 and Forge, and diffusers; "not checked" where a tool was not asked about this base.

    `words` are what to write where that is more than one trigger with its class.
    """
    words = words or prompt_with(trigger=trigger, class_word=class_word, subject_type=subject_type)
    pipe = f'pipe.load_lora_weights("{stem}.safetensors", adapter_name="a"); pipe.set_adapters("a", {scale:.2f})'
    comfyui = _(
        "put the file into models/loras and drop the preview picture on the canvas, or Load LoRA at {scale}.",
        scale=f"{scale:.2f}",
    )
    webui = _("put file and json into models/Lora and write")
    asked = [
        Use(tool="ComfyUI", say=comfyui),
        Use(tool=_webui(base), say=webui, code=f"<lora:{stem}:{scale:.2f}> {words}"),
    ]
    missing = _unchecked(base)
    title = ARCHITECTURES[base].title if base in ARCHITECTURES else base
    unknown = [use.tool for use in asked if _ids(use.tool) <= missing]
    note = _("not checked with {base}: no version that we could run knows it.", base=title)
    return [
        *(use for use in asked if use.tool not in unknown),
        *([Use(tool=", ".join(unknown), say=note)] if unknown else []),
        Use(tool="diffusers", say=_("load {base} as pipe, then", base=title), code=pipe),
    ]


def _webui(base: str) -> str:
    """Which of A1111 and Forge to name: Forge alone where A1111 does not know a base that Forge knows."""
    missing = _unchecked(base)
    return "Forge" if "a1111" in missing and "forge" not in missing else "A1111 / Forge"


def _ids(tool: str) -> frozenset[str]:
    return {"ComfyUI": frozenset({"comfyui"}), "Forge": frozenset({"forge"})}.get(tool, frozenset({"a1111", "forge"}))


def _unchecked(base: str) -> frozenset[str]:
    return unchecked(ARCHITECTURES[base].keymap) if base in ARCHITECTURES else frozenset()
