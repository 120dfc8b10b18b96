"""What a LoRA's header and the sidecar beside it recommend: trigger and weight. Both may be anybody's work."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from storage.domain.errors import FileRefused
from storage.lora_file.header import open_regular
from storage.lora_file.report import plain

_MAX_SIDECAR_BYTES = 1 << 20


def trigger_of(path: Path, metadata: Mapping[str, str]) -> str:
    """From the header, else from the sidecar, else the commonest tag of the training set."""
    said = metadata.get("modelspec.trigger_phrase") or metadata.get("lorasmith.trigger")
    if said:
        return plain(said)
    beside = _sidecar(path).get("activation text")
    if isinstance(beside, str) and beside:
        return plain(beside)
    return plain(_commonest_tag(metadata.get("ss_tag_frequency", "{}")))


def _commonest_tag(text: str) -> str:
    """`ss_tag_frequency` is {"folder": {"tag": count}}, written by anybody."""
    counts: Counter[str] = Counter()
    folders = _json_table(text)
    for tags in folders.values():
        if isinstance(tags, dict):
            counts.update({tag: count for tag, count in tags.items() if type(count) is int})
    return counts.most_common(1)[0][0] if counts else ""


def recommended_weight(path: Path, metadata: Mapping[str, str]) -> tuple[float | None, str]:
    """The weight and where it was said: the sidecar is written after the header, so it is asked first."""
    beside = _sidecar(path).get("preferred weight")
    if isinstance(beside, int | float) and not isinstance(beside, bool) and 0 < beside <= 10:
        return float(beside), "sidecar"
    try:
        value = float(metadata.get("lorasmith.recommended_scale", ""))
    except ValueError:
        return None, ""
    return (value, "header") if 0 < value <= 10 else (None, "")


def _sidecar(path: Path) -> dict[str, Any]:
    """The JSON beside the file, or nothing: a sidecar that is broken is no fault of the LoRA."""
    beside = path.with_suffix(".json")
    if not beside.is_file():
        return {}
    try:
        with open_regular(beside) as file:
            raw = file.read(_MAX_SIDECAR_BYTES + 1)
    except FileRefused:
        return {}
    return _json_table(raw.decode("utf-8", "replace")) if len(raw) <= _MAX_SIDECAR_BYTES else {}


def _json_table(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
