"""The names that a layout gives to a pipeline's modules, and the way back.

A module is known here by its component and its path in diffusers or transformers (`named_modules()`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from storage.lora_file.layouts import (
    ALPHA,
    COMPONENTS,
    DOWN,
    LAYOUTS,
    TEXT_ENCODERS,
    UP,
    Component,
    Layout,
    layout_of,
)

__all__ = ["ALPHA", "COMPONENTS", "DOWN", "UP", "Component", "key_of", "kohya_key", "paths_by_key", "place_of"]

# What peft puts around the wrapped model; never part of the module's own path.
PEFT_PREFIX = "base_model.model."
# The one module of a text encoder that lies beside `text_model`, not under it.
_TEXT_PROJECTION = "text_projection"
_KOHYA = layout_of("sdxl", "kohya")


def key_of(layout: Layout, component: Component, path: str) -> str:
    """The name of a module in a file of a layout that keeps diffusers' modules, without suffix. Raises KeyError for a
    component that the layout has no name for.
    """
    if layout.separator == "_":
        return layout.prefixes[component] + with_text_model(component, path).replace(".", "_")
    return layout.prefixes[component] + path.removeprefix(PEFT_PREFIX)


def kohya_key(component: Component, module_path: str) -> str:
    """SDXL's names: ("unet", "mid_block.attentions.0.proj_in") -> lora_unet_mid_block_attentions_0_proj_in."""
    return key_of(_KOHYA, component, module_path)


def with_text_model(component: Component, path: str) -> str:
    """Transformers 5 flattened CLIPTextModel (`encoder.layers...`) but not CLIPTextModelWithProjection; the tools know
    only names with `text_model`, so it is put in front for both text encoders.
    """
    path = path.removeprefix(PEFT_PREFIX)
    if component in TEXT_ENCODERS and path.split(".")[0] not in ("text_model", _TEXT_PROJECTION):
        return f"text_model.{path}"
    return path


def paths_by_key(
    modules: Mapping[Component, Iterable[str]], layout: Layout = _KOHYA
) -> dict[str, tuple[Component, str]]:
    """The way back: name in the file -> (component, module path), for the modules that exist.

    A name alone cannot be turned back (dots and underscores both became underscores), so the list of paths is needed.
    Raises ValueError where two modules would share a name.
    """
    found: dict[str, tuple[Component, str]] = {}
    for component, paths in modules.items():
        for path in paths:
            key = key_of(layout, component, path)
            if key in found:
                raise ValueError(f"{found[key][1]} and {path} would both be named {key}")
            found[key] = (component, path)
    return found


def place_of(architecture: str, module: str) -> tuple[Component, str]:
    """Component and path of a module as a training names it: text encoders' paths begin with their component's name,
    all others are the denoiser's.
    """
    for part in TEXT_ENCODERS:
        if module.startswith(f"{part}."):
            return part, module.removeprefix(f"{part}.")
    denoiser: Component = "unet" if "unet" in LAYOUTS[architecture][0].prefixes else "transformer"
    return denoiser, module
