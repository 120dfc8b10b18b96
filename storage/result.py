"""`result.json`: what came of an order, for programs. The demo and `lorasmith train` write the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from storage.domain.plan import Plan
from storage.view import CheckpointView, OrderView


def result_of(view: OrderView, files: Mapping[str, str]) -> dict[str, Any]:
    """The result as plain JSON values. `files` are paths of the delivered files by role; null where something is not there.

    What was not measured is null, never zero.
    """
    scale, choice = view.scale, view.choice
    return {
        "order": view.id,
        "name": view.name,
        "base": view.base,
        "subject": view.subject_type,
        "class_word": view.class_word,
        "trigger": view.trigger,
        "concepts": _concepts(view.plan),
        "stage": view.stage,
        "pictures": {"kept": view.kept, "refused": view.refused},
        "plan": json.loads(view.plan.to_json()) if view.plan else None,
        "fit": asdict(view.fits[-1]) if view.fits else None,
        "departures": [asdict(d) for d in view.departures],
        "stopped_early": view.stopped.to_plain() if view.stopped else None,
        "signs": [asdict(s) for s in view.signs],
        "checkpoints": [_checkpoint(c) for c in view.checkpoints],
        "chosen_step": choice.step if choice else None,
        "chosen_because": choice.because.value if choice else None,
        "measured_best": choice.measured_best if choice else None,
        "pseudo_votes": choice.pseudo_votes if choice else None,
        "scale": json.loads(scale.to_json()) if scale else None,
        "recommended_scale": scale.recommended if scale else None,
        "scale_band": [scale.low, scale.high] if scale else None,
        "lora": files.get("lora"),
        "sidecar": files.get("sidecar"),
        "files": dict(sorted(files.items())),
        "seconds": view.seconds,
    }


def _concepts(plan: Plan | None) -> list[dict[str, Any]]:
    """Where a LoRA has several; the first has the trigger and the class word above."""
    return [
        {"trigger": c.trigger, "class_word": c.class_word, "pictures": len(c.pictures), "repeats": c.repeats}
        for c in (plan.concepts if plan else ())
    ]


def _checkpoint(it: CheckpointView) -> dict[str, Any]:
    measured = it.measurement
    return {
        "step": it.step,
        "votes": it.votes,
        "validation_ratio": measured.validation_ratio if measured else None,
        "validation_error": measured.validation_error if measured else None,
        "gaps": list(measured.gaps) if measured else [],
        "likeness": measured.likeness if measured else None,
        "likeness_by": measured.likeness_by or None if measured else None,
        "second_likeness": measured.second_likeness if measured else None,
        "second_by": measured.second_by or None if measured else None,
        "likenesses": list(measured.likenesses) if measured else [],
        "adherence": measured.adherence if measured else None,
        "leakage": measured.leakage if measured else None,
        "saturation": measured.saturation if measured else None,
        "utility": measured.utility if measured else None,
        "intervals": {name: list(found) for name, found in measured.intervals.items()} if measured else {},
        "costs": dict(measured.costs) if measured else {},
        "flags": [flag.value for flag in measured.flags] if measured else None,
        "lora_sha256": it.lora_sha256,
    }
