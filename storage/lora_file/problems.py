"""What can be wrong with a LoRA file although every tensor of it is sound, in words for its owner."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from storage.lora_file.architectures import name_in_header
from storage.lora_file.family import families_of, wrong_shapes
from storage.lora_file.format import Entry, Header
from storage.lora_file.inventory import Inventory, Module, finite, not_finite
from storage.lora_file.report import Problem, plain
from storage.lora_file.strength import strength_said

_SHORT = ("lora_te_encoder_", "lora_te1_encoder_", "lora_te2_encoder_")


def problems_of(path: Path, header: Header, inventory: Inventory, family: str | None) -> list[Problem]:
    """What is wrong, in words: errors first."""
    errors = [*_broken_modules(inventory), *_broken_names(inventory), *_broken_alphas(header, inventory)]
    if not inventory.modules:
        errors.append("no key of this file belongs to a LoRA module")
    said = name_in_header(header.metadata)
    if said not in (None, family):
        errors.append(f"the header says {said}, but names and shapes are not of it")
    if family is not None and (wrong := wrong_shapes(family, inventory)):
        errors.append(f"{len(wrong)} modules do not have {family}'s shapes, {wrong[0]!a} for one: another base model?")
    bad = not_finite(path, header)
    if bad:
        errors.append(f"{len(bad)} tensors hold infinity or NaN, {bad[0]!a} for one: pictures would be black")
    warnings = _remarks(header, inventory, family)
    if bad is None:
        warnings.append("the file is too long to look for NaN in it")
    return [
        *(Problem(level="error", text=text) for text in errors),
        *(Problem(level="warning", text=text) for text in warnings),
    ]


def _broken_modules(inventory: Inventory) -> list[str]:
    texts = []
    halves = [base for base, module in inventory.modules.items() if ("down" in module.parts) != ("up" in module.parts)]
    if halves:
        texts.append(f"{len(halves)} modules have only one of their two matrices, {halves[0]!a} for one")
    unequal = [base for base, module in inventory.modules.items() if not _inner_sizes_agree(module.parts)]
    if unequal:
        texts.append(f"{len(unequal)} modules have matrices that cannot be multiplied, {unequal[0]!a} for one")
    if len(inventory.namings) > 1:
        names = " and ".join(sorted(inventory.namings))
        texts.append(f"two ways of naming in one file ({names}): diffusers goes by the first key and drops the rest")
    return texts


def _inner_sizes_agree(parts: Mapping[str, Entry]) -> bool:
    """Down is (rank, in), up is (out, rank); a file with a middle tensor has two ranks and is left alone."""
    if not {"down", "up"} <= parts.keys() or "mid" in parts:
        return True
    down, up = parts["down"].shape, parts["up"].shape
    return len(down) >= 2 and len(up) >= 2 and down[0] == up[1]


def _broken_names(inventory: Inventory) -> list[str]:
    short = [base for base in inventory.modules if base.startswith(_SHORT)]
    if not short:
        return []
    return [f"{len(short)} modules of a text encoder lack `text_model` in their names: no tool knows {short[0]!a}"]


def _broken_alphas(header: Header, inventory: Inventory) -> list[str]:
    texts = []
    whole = [key for key, entry in header.tensors.items() if key.endswith(".alpha") and entry.dtype[0] in "IU"]
    if whole:
        texts.append(
            f"{len(whole)} alphas are whole numbers ({header.tensors[whole[0]].dtype}), as a known faulty converter "
            "writes them (always the rank, whatever was trained): the strength may be wrong"
        )
    bad = [base for base, m in inventory.modules.items() if m.alpha is not None and not finite(m.alpha)]
    if bad:
        texts.append(f"{len(bad)} alphas are NaN or infinite, {bad[0]!a} for one")
    zero = [base for base, m in inventory.modules.items() if m.alpha == 0]
    if zero:
        texts.append(f"{len(zero)} alphas are 0, which switches those modules off, {zero[0]!a} for one")
    return texts


def _remarks(header: Header, inventory: Inventory, family: str | None) -> list[str]:
    """True and worth saying, yet nothing is lost."""
    modules = [module for module in inventory.modules.values() if module.rank]
    texts = []
    texts += _without_alpha(header, modules)
    ratios = sorted({m.alpha / m.rank for m in modules if m.alpha is not None and finite(m.alpha) and m.rank})
    if ratios and ratios != [1.0]:
        texts.append(f"alpha is not the rank: at weight 1 the LoRA acts at {_span(ratios)} of its matrices' product")
    if inventory.kind == "DoRA":
        texts.append("this is a DoRA: only some tools apply its magnitudes")
    elif inventory.kind != "LoRA":
        texts.append(
            f"this is a {inventory.kind}, not a plain LoRA: fewer tools read it, and `lorasmith convert` does not"
        )
    if inventory.namings & {"peft", "diffusers"} and family in ("sd15", "sdxl"):
        texts.append(
            "the names are diffusers' own; ComfyUI and A1111 need kohya's (lora_unet_...): `lorasmith convert`"
        )
    if inventory.strangers:
        texts.append(f"{len(inventory.strangers)} keys belong to no LoRA module, {inventory.strangers[0]!a} for one")
    others = [name for name in families_of(inventory) if name != family]
    if family is not None and others and name_in_header(header.metadata) is None:
        texts.append(f"names and shapes would also fit {', '.join(others)}, and the header does not say which it is")
    if family is None:
        texts.append("the family was not recognised, so no tool's names were compared")
    return [plain(text, 300) for text in texts]


def _without_alpha(header: Header, modules: list[Module]) -> list[str]:
    """Peft's files have no alphas, which is right for alpha = rank and wrong for all else; kohya's always have them."""
    without = [module for module in modules if module.alpha is None]
    said = strength_said(header.metadata)
    if without and said is not None and said.scale != 1:
        missing = f"{len(without)} modules have no alpha: most tools then take alpha = rank"
        return [f"{missing}, but the header says {said.words}; `lorasmith convert` puts it right"]
    if any(module.naming == "kohya" for module in without):
        return [f"{len(without)} modules have no alpha: tools then take alpha = rank, whatever was trained"]
    return []


def _span(ratios: list[float]) -> str:
    return f"{ratios[0]:g}" if len(ratios) == 1 else f"{ratios[0]:g} to {ratios[-1]:g}"
