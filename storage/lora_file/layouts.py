"""How modules are called in a file: a table of layouts for every architecture, the one that we write first.

SD 1.5 and SDXL are written as kohya names them, the one layout that every tool reads. FLUX.1 and FLUX.2 are written as
diffusers names them, which ComfyUI and Forge read too; sd-scripts reads FLUX.1 in kohya's layout alone, where q, k, v
share one matrix: the same LoRA then takes up to three times the room (block-diagonal B), so it is for `lorasmith convert`.
Z-Image is written as ai-toolkit names it: what most files of that family look like. Layouts without alpha mean alpha = rank.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

Component = Literal["unet", "transformer", "text_encoder", "text_encoder_2"]
COMPONENTS: tuple[Component, ...] = get_args(Component)
TEXT_ENCODERS: tuple[Component, ...] = ("text_encoder", "text_encoder_2")

DOWN, UP, ALPHA = ".lora_down.weight", ".lora_up.weight", ".alpha"
PEFT_DOWN, PEFT_UP = ".lora_A.weight", ".lora_B.weight"


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One way of naming the modules of one architecture."""

    name: str
    prefixes: Mapping[Component, str]
    separator: Literal["_", "."]
    native: bool = False  # names of the original code, where q, k and v are one module, instead of diffusers' names

    @property
    def down(self) -> str:
        """Ending of A's name."""
        return DOWN if self.separator == "_" else PEFT_DOWN

    @property
    def up(self) -> str:
        """Ending of B's name."""
        return UP if self.separator == "_" else PEFT_UP

    @property
    def alpha(self) -> str | None:
        """Ending of alpha's name; None where alpha is not written and is the rank."""
        return ALPHA if self.separator == "_" else None

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The endings of a module's tensors."""
        return (self.down, self.up) if self.alpha is None else (self.down, self.up, self.alpha)


def _kohya(*text_encoders: str, unet: Component = "unet", native: bool = False) -> Layout:
    prefixes: dict[Component, str] = {unet: "lora_unet_"}
    prefixes |= dict(zip(TEXT_ENCODERS, text_encoders, strict=False))
    return Layout(name="kohya", prefixes=prefixes, separator="_", native=native)


def _diffusers(*parts: Component) -> Layout:
    return Layout(name="diffusers", prefixes={part: f"{part}." for part in parts}, separator=".")


def _comfyui(name: str, *, native: bool) -> Layout:
    return Layout(name=name, prefixes={"transformer": "diffusion_model."}, separator=".", native=native)


_SDXL = (_kohya("lora_te1_", "lora_te2_"), _diffusers("unet", "text_encoder", "text_encoder_2"))
_FLUX = (_diffusers("transformer"), _kohya(unet="transformer", native=True), _comfyui("comfyui", native=True))

LAYOUTS: Mapping[str, tuple[Layout, ...]] = {
    "sd15": (_kohya("lora_te_"), _diffusers("unet", "text_encoder")),
    "sdxl": _SDXL,
    "pocket": _SDXL,
    "flux1-dev": _FLUX,
    "flux2-klein-4b": _FLUX,
    "flux2-klein-9b": _FLUX,
    "z-image": (_comfyui("ai-toolkit", native=False), *_FLUX),
}


def layout_of(architecture: str, name: str | None = None) -> Layout:
    """The layout that we write for an architecture, or its layout of that name. Raises ValueError for unknown ones."""
    if architecture not in LAYOUTS:
        raise ValueError(f"no layout is known for the architecture {architecture!r}; known: {', '.join(LAYOUTS)}")
    for layout in LAYOUTS[architecture]:
        if name in (None, layout.name):
            return layout
    known = ", ".join(layout.name for layout in LAYOUTS[architecture])
    raise ValueError(f"{architecture} has no layout {name!r}; it has: {known}")
