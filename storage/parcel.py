"""What is shared of a LoRA: the files that lie beside it and a card, from its header and, where it is there, `result.json`.

Only what the LoRA drew goes along: no training picture, no path of this machine, no page of the order.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from storage.domain.errors import FileRefused
from storage.domain.measurement import ScaleChoice
from storage.domain.plan import Departure, Fit, Plan
from storage.hub import Upload
from storage.hub_card import CardFacts, Measured, Sample, card
from storage.lora_file.header import read_header

MAX_RESULT_BYTES = 4 << 20
MAX_PICTURE_BYTES = 32 << 20
MOST_PICTURES = 60
_PNG = b"\x89PNG\r\n\x1a\n"
_NEEDED = ("order", "architecture", "trigger", "class_word", "subject", "step")
_STEP = re.compile(r"step-(\d{1,7})\.png")
_SAMPLE = re.compile(r"(\d{1,3})-(\d{1,20})\.png")
_DEPARTURES: TypeAdapter[list[Departure]] = TypeAdapter(list[Departure])
_CALLED: TypeAdapter[list[tuple[str, str]]] = TypeAdapter(list[tuple[str, str]])
_MEASURED: TypeAdapter[list[Measured]] = TypeAdapter(list[Measured])


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """All that is shared."""

    facts: CardFacts
    uploads: tuple[Upload, ...]
    """The card first."""


def parcel_of(file: Path, repository: str, name: str | None = None) -> Parcel:
    """The parcel of a LoRA file of ours. Raises `FileRefused` for any other file."""
    header = read_header(file).metadata
    own = {key: header.get(f"lorasmith.{key}", "") for key in _NEEDED}
    if not all(own.values()) or not own["step"].isdecimal():
        raise FileRefused(
            "its header does not say what it is a LoRA of: only files made by lorasmith can be shared with a card"
        )
    result = _result(file.parent, own["order"])
    plan = _plan(result)
    pictures = _pictures(file)
    facts = CardFacts(
        name=name or str(result.get("name") or header.get("modelspec.title") or file.stem),
        stem=file.stem,
        repository=repository,
        base=own["architecture"],
        trigger=own["trigger"],
        class_word=own["class_word"],
        subject_type=own["subject"],
        step=int(own["step"]),
        scale=_scale(file, header, result),
        scale_choice=_choice(result),
        samples=_samples(pictures, plan),
        grids=sorted((int(m[1]), n) for n in pictures if (m := _STEP.fullmatch(n.rpartition("/")[2]))),
        strip="scales.png" if "scales.png" in pictures else None,
        checkpoints=_checkpoints(result),
        plan=plan,
        pictures=_count(header, result),
        fits=_fits(result),
        departures=_departures(result),
        lora_sha256=_digest(header),
        others=_others(header),
    )
    beside = [Upload(name=file.name, what=file)]
    sidecar = file.with_suffix(".json")
    if sidecar.is_file() and sidecar.stat().st_size <= MAX_RESULT_BYTES:
        beside.append(Upload(name=sidecar.name, what=sidecar))
    beside += [Upload(name=name_, what=path) for name_, path in pictures.items()]
    return Parcel(facts=facts, uploads=(Upload(name="README.md", what=card(facts).encode()), *beside))


def _result(folder: Path, order_id: str) -> Mapping[str, Any]:
    """`result.json` beside the file, if it is of the same order; nothing of another one's may get into the card."""
    path = folder / "result.json"
    try:
        if path.stat().st_size > MAX_RESULT_BYTES:
            return {}
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) and found.get("order") == order_id else {}


def _plan(result: Mapping[str, Any]) -> Plan | None:
    try:
        return Plan.from_json(json.dumps(result["plan"])) if result.get("plan") else None
    except (TypeError, ValueError, KeyError):  # of a version that knew other fields
        return None


def _pictures(file: Path) -> dict[str, Path]:
    """Drawn pictures beside the file by their path in the repository: preview, strip, grids, samples."""
    folder = file.parent
    wanted = {
        f"{file.stem}.preview.png": folder / f"{file.stem}.preview.png",
        "scales.png": folder / f"{file.stem}.scales.png",
    }
    wanted |= {f"grids/{p.name}": p for p in sorted((folder / "grids").glob("step-*.png")) if _STEP.fullmatch(p.name)}
    wanted |= {f"samples/{p.name}": p for p in sorted((folder / "samples").glob("*.png")) if _SAMPLE.fullmatch(p.name)}
    return {name: path for name, path in wanted.items() if _is_picture(path)} if len(wanted) <= MOST_PICTURES else {}


def _is_picture(path: Path) -> bool:
    if path.is_symlink() or not path.is_file() or path.stat().st_size > MAX_PICTURE_BYTES:
        return False
    with path.open("rb") as opened:
        return opened.read(len(_PNG)) == _PNG


def _samples(pictures: Mapping[str, Path], plan: Plan | None) -> list[Sample]:
    """One picture a prompt with the trigger: the first of its seeds that is there."""
    rows = enumerate(plan.prompts) if plan else ()
    return [
        Sample(prompt=prompt.text, file=found)
        for row, prompt in rows
        if prompt.with_trigger
        and (found := next((n for seed in prompt.seeds if (n := f"samples/{row}-{seed}.png") in pictures), None))
    ]


def _scale(file: Path, header: Mapping[str, str], result: Mapping[str, Any]) -> float | None:
    """The recommended one: from the result, the header or the sidecar, whoever says it first."""
    said = result.get("recommended_scale") or header.get("lorasmith.recommended_scale") or _preferred(file)
    try:
        value = float(str(said)) if said else 0.0
    except ValueError:
        return None
    return value if 0.0 < value <= 4.0 else None


def _preferred(file: Path) -> object:
    try:
        raw = file.with_suffix(".json").read_bytes()[:MAX_RESULT_BYTES]
        return json.loads(raw).get("preferred weight")
    except (OSError, ValueError, AttributeError, RecursionError):
        return None


def _choice(result: Mapping[str, Any]) -> ScaleChoice | None:
    try:
        return ScaleChoice.from_json(json.dumps(result["scale"])) if result.get("scale") else None
    except (TypeError, ValueError, KeyError):
        return None


def _checkpoints(result: Mapping[str, Any]) -> list[Measured]:
    names = Measured.__dataclass_fields__
    try:
        rows = [{name: row[name] for name in names} for row in result.get("checkpoints", [])]
        return _MEASURED.validate_python(rows)
    except (ValidationError, TypeError, KeyError):
        return []


def _fits(result: Mapping[str, Any]) -> list[Fit]:
    try:
        return [Fit.from_json(json.dumps(result["fit"]))] if result.get("fit") else []
    except (TypeError, ValueError, KeyError):
        return []


def _departures(result: Mapping[str, Any]) -> list[Departure]:
    try:
        return _DEPARTURES.validate_python(result.get("departures", []))
    except ValidationError:
        return []


def _count(header: Mapping[str, str], result: Mapping[str, Any]) -> int:
    """Pictures in all, as the result says; else those that were trained on."""
    pictures = result.get("pictures")
    kept = pictures.get("kept") if isinstance(pictures, dict) else None
    said = header.get("ss_num_train_images", "")
    trained = int(said) if said.isdecimal() and len(said) < 6 else 0
    return kept if isinstance(kept, int) and 0 < kept < 10_000 else trained


def _others(header: Mapping[str, str]) -> list[tuple[str, str]]:
    """Trigger and class word of every concept but the first, where a file has several."""
    try:
        pairs = _CALLED.validate_json(header.get("lorasmith.concepts", "[]"))
    except ValidationError:
        return []
    return pairs[1:14]


def _digest(header: Mapping[str, str]) -> str:
    """Of the tensors, as A1111 and ModelSpec count it."""
    said = header.get("sshs_model_hash", "")
    return said if re.fullmatch(r"[0-9a-f]{64}", said) else "unknown"
