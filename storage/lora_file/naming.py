"""Module paths of a pipeline's components and the names that kohya's layout gives them.

The layout joins a component's prefix and the module's path with underscores. It is the one layout that ComfyUI, A1111,
Forge, sd-scripts and diffusers all read for the SDXL class; `storage/keymaps` holds what each of them accepts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, get_args

Component = Literal["unet", "text_encoder", "text_encoder_2"]
COMPONENTS: tuple[Component, ...] = get_args(Component)

PREFIXES: Mapping[Component, str] = {"unet": "lora_unet_", "text_encoder": "lora_te1_", "text_encoder_2": "lora_te2_"}
DOWN, UP, ALPHA = ".lora_down.weight", ".lora_up.weight", ".alpha"

# What peft puts around the wrapped model; never part of the module's own path.
_PEFT_PREFIX = "base_model.model."
# The one module of a text encoder that lies beside `text_model`, not under it.
_TEXT_PROJECTION = "text_projection"


def kohya_key(component: Component, module_path: str) -> str:
    """The name of a module in the file, without suffix: ("unet", "mid_block.attentions.0.proj_in") -> lora_unet_mid_...

    transformers 5 flattened CLIPTextModel (`encoder.layers...`) but not CLIPTextModelWithProjection; the tools know only
    names with `text_model`, so it is put in front for both text encoders.
    """
    path = module_path.removeprefix(_PEFT_PREFIX)
    if component != "unet" and path.split(".")[0] not in ("text_model", _TEXT_PROJECTION):
        path = f"text_model.{path}"
    return PREFIXES[component] + path.replace(".", "_")


def paths_by_key(modules: Mapping[Component, Iterable[str]]) -> dict[str, tuple[Component, str]]:
    """The way back: name in the file -> (component, module path), for the modules that exist.

    A name alone cannot be turned back (dots and underscores both became underscores), so the list of paths is needed.
    Raises ValueError where two modules would share a name.
    """
    found: dict[str, tuple[Component, str]] = {}
    for component, paths in modules.items():
        for path in paths:
            key = kohya_key(component, path)
            if key in found:
                raise ValueError(f"{found[key][1]} and {path} would both be named {key}")
            found[key] = (component, path)
    return found
