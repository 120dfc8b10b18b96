"""What a module's name in anybody's file means: every common way of writing it, for one architecture.

kohya (lora_unet_...), diffusers and peft (unet., transformer., base_model.model.), ComfyUI and ai-toolkit
(diffusion_model.), OneTrainer (lora_transformer_), SimpleTuner's LyCORIS (lycoris_), with diffusers' module names or those
of the original code, where q, k and v may be one matrix.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from storage.lora_file.architectures import ARCHITECTURES
from storage.lora_file.keymaps import KeyMap, keymap
from storage.lora_file.layouts import TEXT_ENCODERS, Component, Layout
from storage.lora_file.naming import key_of, with_text_model


@dataclass(frozen=True, kw_only=True)
class Slot:
    """One module of diffusers that a name in a file means, wholly or as some rows of a joint matrix."""

    component: Component
    path: str
    shape: tuple[int, ...]  # of the module's weight: (out, in) or (out, in, height, width)
    start: int | None = None  # first row within the joint matrix


Slots = tuple[Slot, ...]

# Before a denoiser's path with dots, and before one with underscores.
_DOTTED: Mapping[Component, tuple[str, ...]] = {
    "unet": ("unet.", "", "base_model.model.", "unet.base_model.model.", "diffusion_model."),
    "transformer": (
        "transformer.",
        "diffusion_model.",
        "",
        "base_model.model.",
        "transformer.base_model.model.",
        "model.diffusion_model.",
    ),
}
_JOINED: Mapping[Component, tuple[str, ...]] = {
    "unet": ("lora_unet_", "lycoris_"),
    "transformer": ("lora_unet_", "lora_transformer_", "lycoris_"),
}


def map_of(architecture: str) -> KeyMap:
    """The key map of an architecture."""
    return keymap(ARCHITECTURES[architecture].keymap)


@cache
def meanings(architecture: str) -> Mapping[str, Slots]:
    """Name in a file, without suffix -> the modules that it means."""
    found: dict[str, Slots] = {}
    known = map_of(architecture)
    for name, slot in (*_diffusers_names(known), *_text_names(known)):
        found[name] = (slot,)
    for name, slots in _native_names(known):
        found.setdefault(name, slots)
    return found


@cache
def joint(architecture: str) -> Mapping[str, Slots]:
    """The original code's modules, by its own path, with what of diffusers' lies in each, in the order of rows."""
    known = map_of(architecture)
    grouped: dict[str, list[Slot]] = {}
    for component in known.native:
        if component in TEXT_ENCODERS:
            continue
        for path, native in known.native[component].items():
            shape = known.modules[component][path]
            slot = Slot(component=component, path=path, shape=shape, start=native.start)
            grouped.setdefault(native.path, []).append(slot)
    return {path: tuple(sorted(slots, key=lambda slot: slot.start or 0)) for path, slots in grouped.items()}


def written(architecture: str, layout: Layout) -> Mapping[str, Slots]:
    """Every name that a layout gives, without suffix, and what it means. For `convert` and for the tests."""
    known = map_of(architecture)
    prefixes = {part: prefix for part, prefix in layout.prefixes.items() if part in known.modules}
    if not layout.native:
        return {
            key_of(layout, part, path): (Slot(component=part, path=path, shape=shape),)
            for part in prefixes
            for path, shape in known.modules[part].items()
        }
    (prefix,) = prefixes.values()
    return {
        prefix + (path if layout.separator == "." else path.replace(".", "_")): slots
        for path, slots in joint(architecture).items()
    }


def _diffusers_names(known: KeyMap) -> Iterator[tuple[str, Slot]]:
    for component, modules in known.modules.items():
        if component in TEXT_ENCODERS:
            continue
        for path, shape in modules.items():
            slot = Slot(component=component, path=path, shape=shape)
            for prefix in _DOTTED[component]:
                yield prefix + path, slot
            for prefix in _JOINED[component]:
                yield prefix + path.replace(".", "_"), slot


def _native_names(known: KeyMap) -> Iterator[tuple[str, Slots]]:
    for path, slots in joint(known.architecture).items():
        component = slots[0].component
        for prefix in _DOTTED[component]:
            yield prefix + path, slots
        for prefix in _JOINED[component]:
            yield prefix + path.replace(".", "_"), slots


def _text_names(known: KeyMap) -> Iterator[tuple[str, Slot]]:
    """kohya's, with and without the `text_model` that a faulty converter loses, and peft's."""
    for component in TEXT_ENCODERS:
        for path, shape in known.modules.get(component, {}).items():
            slot = Slot(component=component, path=path, shape=shape)
            full = with_text_model(component, path)
            for spelled in (full, full.removeprefix("text_model.")):
                for prefix in _kohya_prefixes(known, component):
                    yield prefix + spelled.replace(".", "_"), slot
                yield f"{component}.{spelled}", slot
                yield f"{component}.base_model.model.{spelled}", slot


def _kohya_prefixes(known: KeyMap, component: Component) -> tuple[str, ...]:
    if component == "text_encoder_2":
        return ("lora_te2_",)
    return ("lora_te1_",) if "text_encoder_2" in known.modules else ("lora_te_", "lora_te1_")
