"""How strong a LoRA was trained to be, where its tensors do not say: alpha over rank as the header has it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_MAX_JSON_CHARS = 1 << 20
_ENDS = ("r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern")


@dataclass(frozen=True, kw_only=True)
class Said:
    """What the header says of a file without alphas."""

    scale: float  # alpha over rank; alpha over its root for rank-stabilised LoRA (arXiv 2312.03732)
    words: str  # "alpha 8 for rank 16"
    patterned: bool = False  # single modules have ranks or alphas of their own, which this one number does not tell


def strength_said(metadata: Mapping[str, str]) -> Said | None:
    """From diffusers' `lora_adapter_metadata` (a JSON of peft's LoraConfig), else from `ss_network_alpha` and `_dim`."""
    return _of_peft(_table(metadata.get("lora_adapter_metadata", ""))) or _of_kohya(metadata)


def _of_peft(table: Mapping[str, Any]) -> Said | None:
    """The keys are "transformer.r", "unet.lora_alpha", ...; components that differ are patterned too."""
    found: dict[str, list[Any]] = {end: [] for end in _ENDS}
    for key, value in table.items():
        end = key.rsplit(".", 1)[-1]
        if end in found:
            found[end].append(value)
    ranks, alphas = _numbers(found["r"]), _numbers(found["lora_alpha"])
    if not ranks or not alphas:
        return None
    rank, alpha = ranks[0], alphas[0]
    root = any(value is True for value in found["use_rslora"])
    patterned = any(found["rank_pattern"]) or any(found["alpha_pattern"]) or len({*ranks}) > 1 or len({*alphas}) > 1
    scale = alpha / (math.sqrt(rank) if root else rank)
    return Said(scale=scale, words=f"alpha {alpha:g} for rank {rank:g}", patterned=patterned)


def _of_kohya(metadata: Mapping[str, str]) -> Said | None:
    numbers = [_number(metadata.get(key, "")) for key in ("ss_network_dim", "ss_network_alpha")]
    rank, alpha = numbers
    if rank is None or alpha is None:
        return None
    return Said(scale=alpha / rank, words=f"alpha {alpha:g} for rank {rank:g}")


def _table(text: str) -> dict[str, Any]:
    if len(text) > _MAX_JSON_CHARS:
        return {}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _numbers(values: list[Any]) -> list[float]:
    return [found for value in values if not isinstance(value, bool) and (found := _number(value)) is not None]


def _number(value: object) -> float | None:
    """A positive finite number, else None: headers are anybody's work."""
    try:
        number = float(value) if isinstance(value, int | float | str) else math.nan
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and number > 0 else None
