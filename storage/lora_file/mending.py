"""What is to be mended in a LoRA file, and what cannot be: the strength that was meant, and reasons to refuse."""

from __future__ import annotations

from pathlib import Path

from storage.lora_file.factors import MAX_RANK
from storage.lora_file.family import wrong_shapes
from storage.lora_file.format import Header
from storage.lora_file.inventory import Inventory, Module, finite, not_finite
from storage.lora_file.spelling import meanings
from storage.lora_file.strength import Said, strength_said

_DTYPES = {"F16": "fp16", "BF16": "bf16", "F32": "fp32"}


def refusals(path: Path, header: Header, inventory: Inventory, family: str, *, alpha_given: bool) -> list[str]:
    """Why this file cannot be converted, in words; empty where it can."""
    if inventory.kind != "LoRA":
        return [f"it is a {inventory.kind}, and only plain LoRAs are converted"]
    modules, known = inventory.modules, meanings(family)
    said = strength_said(header.metadata)
    alphas = [] if alpha_given else [base for base, m in modules.items() if m.alpha is not None and not _usable(m)]
    counted = {
        "keys belong to no LoRA module": list(inventory.strangers),
        f"modules have names that mean nothing for {family}": [base for base in modules if base not in known],
        "modules have only one of their two matrices": [b for b, m in modules.items() if not _whole(m)],
        f"modules do not have {family}'s shapes": wrong_shapes(family, inventory),
        f"modules have a rank above {MAX_RANK}": [base for base, m in modules.items() if (m.rank or 0) > MAX_RANK],
        "alphas are 0, NaN or infinite (say the right one with --alpha)": alphas,
        "tensors hold infinity or NaN": [key for key in not_finite(path, header) or [] if not key.endswith(".alpha")],
        "tensors are neither fp16, bf16 nor fp32": [
            key for key, entry in header.tensors.items() if entry.dtype not in _DTYPES and not key.endswith(".alpha")
        ],
    }
    texts = [f"{len(names)} {words}, {names[0]!a} for one" for words, names in counted.items() if names]
    if said is not None and said.patterned and not alpha_given and any(m.alpha is None for m in modules.values()):
        texts.append("its header gives single modules alphas of their own, which are not told by their names")
    return texts


def scales_of(header: Header, inventory: Inventory, alpha: float | None) -> tuple[dict[str, float], list[str]]:
    """Alpha over rank of every module, and what was put right about it, in words.

    In order: the alpha that is given, the file's own unless a faulty converter wrote it, the header's, the rank.
    """
    said = strength_said(header.metadata)
    wrong = _wrong_alphas(inventory)
    scales: dict[str, float] = {}
    sources: dict[str, int] = {}
    for base, module in inventory.modules.items():
        scale, source = _scale(module, alpha=alpha, said=said, wrong=base in wrong)
        scales[base] = scale
        sources[source] = sources.get(source, 0) + 1
    return scales, [f"{count} modules: {source}" for source, count in sources.items() if source]


def common_dtype(header: Header) -> str:
    """The widest that occurs among the matrices, so that nothing is lost."""
    found = {entry.dtype for key, entry in header.tensors.items() if not key.endswith(".alpha")}
    if "F32" in found or {"F16", "BF16"} <= found:
        return "fp32"
    return "bf16" if "BF16" in found else "fp16"


def _scale(module: Module, *, alpha: float | None, said: Said | None, wrong: bool) -> tuple[float, str]:
    rank = module.rank or 1
    if alpha is not None:
        return alpha / rank, f"strength {alpha:g}/{rank} as asked for, alpha is the rank now"
    if module.alpha is not None and not (wrong and said is not None):
        ratio = module.alpha / rank
        source = "" if ratio == 1 else f"strength {ratio:g} folded into the matrices, alpha is the rank now"
        return ratio, source or ("alpha was a whole number; it is written as a fraction now" if wrong else "")
    if said is not None and said.scale != 1:
        return said.scale, f"{said.words} as the header says, folded into the matrices: alpha is the rank now"
    return 1.0, ""


def _wrong_alphas(inventory: Inventory) -> set[str]:
    """Modules whose alpha is a whole number equal to the rank: a known converter writes that whatever was trained."""
    return {
        base
        for base, module in inventory.modules.items()
        if (entry := module.parts.get("alpha")) is not None and entry.dtype[0] in "IU" and module.alpha == module.rank
    }


def _usable(module: Module) -> bool:
    return finite(module.alpha) and module.alpha != 0


def _whole(module: Module) -> bool:
    return {"down", "up"} <= module.parts.keys() and module.parts["down"].shape[0] == module.parts["up"].shape[1]
