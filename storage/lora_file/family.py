"""Which architecture a file is for: what its header says, held against its names and the shapes of its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from storage.lora_file.architectures import ARCHITECTURES, name_in_header
from storage.lora_file.inventory import Inventory, Module
from storage.lora_file.keymaps import KeyMap, keymap
from storage.lora_file.naming import COMPONENTS, PREFIXES, Component, paths_by_key


def family_of(metadata: Mapping[str, str], inventory: Inventory) -> str | None:
    """The architecture, or None. Half of the names must be known and no more than a tenth of the shapes contradict."""
    said = name_in_header(metadata)
    names = sorted(ARCHITECTURES, key=lambda name: name != said)
    for name in names:
        known = sum(base in all_names(name) for base in inventory.modules)
        wrong = len(wrong_shapes(name, inventory))
        if known * 2 >= max(1, len(inventory.modules)) and wrong * 10 <= known:
            return name
    return None


def map_of(name: str) -> KeyMap:
    """The key map of an architecture."""
    return keymap(ARCHITECTURES[name].keymap)


@cache
def all_names(name: str) -> frozenset[str]:
    """Every spelling of every module that some tool accepts."""
    return map_of(name).names() | shapes_by_name(name).keys()


@cache
def shapes_by_name(name: str) -> Mapping[str, tuple[int, ...]]:
    """Weight shape by name in the file, for kohya's and peft's spelling."""
    modules = map_of(name).modules
    kohya = {key: modules[part][path] for key, (part, path) in paths_by_key(modules).items()}
    peft = {f"{part}.{path}": shape for part in COMPONENTS for path, shape in modules[part].items()}
    return kohya | peft


def wrong_shapes(name: str, inventory: Inventory) -> list[str]:
    """Modules whose matrices do not fit the weight that their name means."""
    shapes = shapes_by_name(name)
    return [base for base, module in inventory.modules.items() if base in shapes and not _fits(module, shapes[base])]


def _fits(module: Module, shape: tuple[int, ...]) -> bool:
    """A down matrix is (rank, in, ...), an up matrix (out, rank, ...) of a weight (out, in, ...)."""
    down, up = module.parts.get("down"), module.parts.get("up")
    down_fits = down is None or (len(down.shape) >= 2 and down.shape[1] == shape[1])
    return down_fits and (up is None or (len(up.shape) >= 2 and up.shape[0] == shape[0]))


def component_of(base: str) -> Component | None:
    """The component that a module's name in the file points to, by its prefix."""
    for part in reversed(COMPONENTS):  # text_encoder_2 before text_encoder
        if base.startswith((PREFIXES[part], f"{part}.")):
            return part
    return None
