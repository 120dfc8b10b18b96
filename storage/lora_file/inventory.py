"""What a LoRA file holds: its modules with rank and alpha, the naming it uses, and numbers that are not numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from storage.domain.errors import FileRefused
from storage.lora_file.format import Entry, Header
from storage.lora_file.header import open_regular, read_tensors

# suffix -> (role, naming). The longest one that fits is taken, so the order here does not matter.
_PARTS: Mapping[str, tuple[str, str]] = {
    ".lora_down.weight": ("down", "kohya"),
    ".lora_up.weight": ("up", "kohya"),
    ".lora_mid.weight": ("mid", "kohya"),
    ".lora_A.weight": ("down", "peft"),
    ".lora_B.weight": ("up", "peft"),
    ".lora_A.default.weight": ("down", "peft"),
    ".lora_B.default.weight": ("up", "peft"),
    ".lora.down.weight": ("down", "diffusers"),
    ".lora.up.weight": ("up", "diffusers"),
    "_lora.down.weight": ("down", "diffusers"),
    "_lora.up.weight": ("up", "diffusers"),
    ".lora_linear_layer.down.weight": ("down", "diffusers"),
    ".lora_linear_layer.up.weight": ("up", "diffusers"),
    ".alpha": ("alpha", ""),
    ".dora_scale": ("dora", ""),
    ".lora_magnitude_vector": ("dora", ""),
    ".lora_magnitude_vector.weight": ("dora", ""),
    **{f".hada_{part}": (f"hada_{part}", "") for part in ("w1_a", "w1_b", "w2_a", "w2_b", "t1", "t2")},
    **{f".lokr_{part}": (f"lokr_{part}", "") for part in ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b", "t2")},
    ".oft_blocks": ("oft_blocks", ""),
    ".oft_diag": ("oft_diag", ""),
    ".on_input": ("ia3_on_input", ""),
    ".diff": ("diff", ""),
    ".diff_b": ("diff_b", ""),
}
_BY_LENGTH = sorted(_PARTS, key=len, reverse=True)

# What a file is by the tensors of its modules, beside plain LoRA; the first that fits names the whole file.
KINDS: Mapping[str, tuple[str, ...]] = {
    "LoKr": ("lokr_w1", "lokr_w1_a", "lokr_w2", "lokr_w2_a"),
    "LoHa": ("hada_w1_a", "hada_w2_a"),
    "OFT": ("oft_blocks", "oft_diag"),
    "IA3": ("ia3_on_input",),
    "DoRA": ("dora",),
    "LoRA with whole weight differences": ("diff", "diff_b"),
    "LoCon with a middle tensor": ("mid",),
}

# Exponent bits of the float dtypes: all of them set means infinity or not a number.
_EXPONENTS: Mapping[str, tuple[str, int]] = {
    "F16": ("<u2", 0x7C00),
    "BF16": ("<u2", 0x7F80),
    "F32": ("<u4", 0x7F800000),
}
_CHUNK = 8 << 20
MAX_SCANNED_BYTES = 8 << 30


@dataclass(kw_only=True)
class Module:
    """The tensors of one module, filled while the keys are read."""

    parts: dict[str, Entry] = field(default_factory=dict)  # role -> entry
    keys: dict[str, str] = field(default_factory=dict)  # role -> its name in the file
    naming: str = ""
    alpha: float | None = None

    @property
    def rank(self) -> int | None:
        """The inner width, from the down matrix: its first size in every naming."""
        down = self.parts.get("down")
        return down.shape[0] if down is not None and len(down.shape) >= 2 else None


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """The modules of a file by their name in it, and the keys that belong to no LoRA module."""

    modules: Mapping[str, Module]
    strangers: tuple[str, ...]

    @property
    def namings(self) -> frozenset[str]:
        """Which namings occur: "kohya", "peft", "diffusers"."""
        return frozenset(module.naming for module in self.modules.values() if module.naming)

    @property
    def kind(self) -> str:
        """What the tensors are: "LoRA", "LoKr", "LoHa", "DoRA" and so on (KINDS)."""
        roles = {role for module in self.modules.values() for role in module.parts}
        return next((kind for kind, parts in KINDS.items() if roles.intersection(parts)), "LoRA")


def split_key(key: str) -> tuple[str, str, str] | None:
    """(module, role, naming) of a key, or None where it is not part of a LoRA module."""
    for suffix in _BY_LENGTH:
        if key.endswith(suffix):
            role, naming = _PARTS[suffix]
            return key[: -len(suffix)], role, naming
    return None


def inventory_of(path: Path, header: Header) -> Inventory:
    """Sorts the keys of a file into modules and reads every alpha. Raises FileRefused where an alpha is no scalar."""
    modules: dict[str, Module] = {}
    strangers: list[str] = []
    alphas: dict[str, str] = {}
    for key, entry in header.tensors.items():
        found = split_key(key)
        if found is None:
            strangers.append(key)
            continue
        name, role, naming = found
        module = modules.setdefault(name, Module())
        module.parts[role] = entry
        module.keys[role] = key
        module.naming = module.naming or naming
        if role == "alpha":
            alphas[name] = key
    _read_alphas(path, header, modules, alphas)
    return Inventory(modules=modules, strangers=tuple(strangers))


def _read_alphas(path: Path, header: Header, modules: Mapping[str, Module], alphas: Mapping[str, str]) -> None:
    for name, key in alphas.items():
        if header.tensors[key].count != 1:
            raise FileRefused(f"the alpha of {name!a} is not one number")
    values = read_tensors(path, header, alphas.values(), max_bytes=8)
    for name, key in alphas.items():
        modules[name].alpha = float(values[key].reshape(-1)[0])


def not_finite(path: Path, header: Header) -> list[str] | None:
    """Names of the float tensors that hold infinity or NaN; None where the file is too long to be read through."""
    if header.file_bytes > MAX_SCANNED_BYTES:
        return None
    bad: list[str] = []
    with open_regular(path) as file:
        for name, entry in header.tensors.items():
            if entry.dtype not in _EXPONENTS:
                continue
            dtype, exponent = _EXPONENTS[entry.dtype]
            file.seek(header.data_start + entry.start)
            for start in range(entry.start, entry.end, _CHUNK):
                raw = file.read(min(_CHUNK, entry.end - start))
                if len(raw) < min(_CHUNK, entry.end - start):
                    raise FileRefused("the file became shorter while it was read")
                bits = np.frombuffer(raw, dtype)
                if bool(np.any(bits & exponent == exponent)):
                    bad.append(name)
                    break
    return bad


def finite(value: float | None) -> bool:
    """Whether an alpha is a usable number."""
    return value is not None and math.isfinite(value)
