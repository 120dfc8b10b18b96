"""No field of a plan is accepted and ignored: changing any one of them changes the run."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from storage.domain.measurement import Measurement
from storage.domain.orders import SubjectType
from storage.domain.plan import Concept, Plan, PreviewPrompt, Validation
from storage.lora_file import read_header
from tests.builders import make_job, tiny_plan
from trainer.events import EVENT, Checkpointed, Train
from trainer.gpu.channel import Channel
from trainer.gpu.child import Child
from trainer.gpu.export import sha256

_OTHER_PROMPT = PreviewPrompt(text="a zorvex toy at night", plain="a toy at night", seeds=(1, 2))

OTHERS: dict[str, dict[str, Any]] = {
    "base": {"base": "sdxl"},
    "subject_type": {"subject_type": SubjectType.STYLE},
    "class_word": {"class_word": "robot"},
    "trigger": {"trigger": "other"},
    "recipe": {"recipe": "rival-1/pocket/object"},
    "seed": {"seed": 8},
    "steps": {"steps": 4, "checkpoint_steps": (4,)},
    "checkpoint_steps": {"checkpoint_steps": (2, 3)},
    "learning_rate": {"learning_rate": 2e-3},
    "warmup_steps": {"warmup_steps": 3},
    "schedule": {"schedule": "cosine"},
    "batch_size": {"batch_size": 4},
    "rank": {"rank": 4},
    "targets": {"targets": "attention+ff"},
    "weight_decay": {"weight_decay": 20.0},
    "max_grad_norm": {"max_grad_norm": 1e-6},
    "resolution": {"resolution": 48},
    "crop": {"crop": "face"},
    "flip": {"flip": False},
    "caption_dropout": {"caption_dropout": 0.9},
    "min_snr_gamma": {"min_snr_gamma": 1.0},
    "noise_offset": {"noise_offset": 0.5},
    "captions": {"captions": ("a drawing of a {trigger}",)},
    "validation": {"validation": Validation.NONE, "held_out": ()},
    "held_out": {"held_out": ("p5",)},
    "prompts": {"prompts": (_OTHER_PROMPT, *tiny_plan().prompts[1:])},
    "optimizer": {"optimizer": "prodigy"},
    "adam_beta1": {"adam_beta1": 0.5},
    "adam_beta2": {"adam_beta2": 0.5},
    "adam_epsilon": {"adam_epsilon": 1e-2},
    "prodigy_d_coef": {"prodigy_d_coef": 100.0},
    "cosine_cycles": {"cosine_cycles": 2},
    "accumulation": {"accumulation": 2},
    "ema_decay": {"ema_decay": 0.9},
    "alpha": {"alpha": 0.5},
    "lora_dropout": {"lora_dropout": 0.3},
    "text_encoder_rate": {"text_encoder_rate": 1e-3},
    "file_dtype": {"file_dtype": "bf16"},
    "pyramid_noise": {"pyramid_noise": 0.5},
    "timestep_density": {"timestep_density": "logit-normal"},
    "timestep_mean": {"timestep_mean": 1.0},
    "timestep_std": {"timestep_std": 0.3},
    "timestep_shift": {"timestep_shift": 3.0},
    "timestep_shift_px": {"timestep_shift_px": 16},
    "prior": {"prior": "base_prediction"},
    "prior_share": {"prior_share": 0.3},
    "prior_weight": {"prior_weight": 9.0},
    "prior_prompts": {"prior_prompts": ("a red car in the snow",)},
    "prior_pictures": {"prior_pictures": 1},
    "caption_shuffle": {"caption_shuffle": 4},
    "keep_tokens": {"keep_tokens": 2},
    "repeats": {"repeats": ("p1", "p1")},
    "concepts": {
        "concepts": (
            Concept(trigger="zorvex", class_word="toy", pictures=("p0", "p1", "p2")),
            Concept(trigger="kredax", class_word="robot", pictures=("p3", "p4", "p5"), repeats=2),
        )
    },
    "resolutions": {"resolutions": (48,)},
    "latents": {"latents": "sampled"},
    "kept_energy": {"kept_energy": 0.3},
    "continue_from": {"continue_from": "0" * 64},
    "preview_steps": {"preview_steps": 3},
    "guidance": {"guidance": 4.0},
    "likeness_weight": {"likeness_weight": 0.2},
    "variety_power": {"variety_power": 1.0},
    "leakage_weight": {"leakage_weight": 0.9},
}
"""Field -> what is changed; `steps` moves its last checkpoint along, `validation` its pictures. What a full voice changes is
in test_judge."""

GIVEN: dict[str, dict[str, Any]] = {
    "prodigy_d_coef": {"optimizer": "prodigy", "learning_rate": 1.0},
    "cosine_cycles": {"schedule": "cosine"},
    "timestep_mean": {"timestep_density": "logit-normal"},
    "timestep_std": {"timestep_density": "logit-normal"},
    **{name: {"prior": "base_prediction"} for name in ("prior_share", "prior_weight", "prior_prompts")},
    "caption_shuffle": {"captions": ("a {trigger}, red, round, small",)},
    "keep_tokens": {"captions": ("a {trigger}, red, round, small",), "caption_shuffle": 4},
    "prior_pictures": {"prior": "class_pictures", "prior_pictures": 3},
    "concepts": {"prompts": (*tiny_plan().prompts, replace(_OTHER_PROMPT, text="a kredax robot at night"))},
}
"""Field -> what it means something with."""

START = replace(tiny_plan(6, 3), checkpoint_steps=(3,), learning_rate=1e-3)


@pytest.fixture(scope="module")
def child(tmp_path_factory: pytest.TempPathFactory) -> tuple[Child, Path]:
    log = tmp_path_factory.mktemp("child") / "told.jsonl"
    return Child(Channel(os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND))), log


def outcome(child: tuple[Child, Path], folder: Path, base: Path, plan: Plan) -> dict[str, Any]:
    """What a run does that anybody could notice; times, and the plan's own hash, left out."""
    make_job(folder, base, plan=plan, face=(0.3, 0.3, 0.5, 0.5))
    before = len(child[1].read_bytes())
    child[0].obey(Train(folder=str(folder), until=plan.steps))
    told = [EVENT.validate_json(line) for line in child[1].read_bytes()[before:].splitlines()]
    marks = [event for event in told if isinstance(event, Checkpointed)]
    assert marks, told
    header = read_header(folder / marks[-1].lora)
    metadata = {k: v for k, v in header.metadata.items() if k != "lorasmith.plan_sha256"}
    return {
        "steps": [mark.step for mark in marks],
        "metadata": metadata,
        "grid": sha256(folder / marks[-1].grid),
        "measured": [json.loads(Measurement.from_json(mark.measurement).numbers()) for mark in marks],
    }


@pytest.fixture(scope="module")
def outcomes(
    child: tuple[Child, Path], random_base: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Plan], dict[str, Any]]:
    """Runs every plan once, however often it is asked about."""
    known: dict[str, dict[str, Any]] = {}

    def outcome_of(plan: Plan) -> dict[str, Any]:
        key, folder = plan.to_json(), tmp_path_factory.mktemp("run")
        if plan.continue_from:  # what the same plan learned from the start
            first = tmp_path_factory.mktemp("first")
            outcome(child, first, random_base, replace(plan, continue_from=""))
            data = (first / f"checkpoints/{plan.steps}/lora.safetensors").read_bytes()
            (folder / "start.safetensors").write_bytes(data)
            plan = replace(plan, continue_from=hashlib.sha256(data).hexdigest())
        if key not in known:
            known[key] = outcome(child, folder, random_base, plan)
        return known[key]

    return outcome_of


def changed(field: str) -> tuple[Plan, Plan]:
    assert field in OTHERS, f"the new field {field} needs a case here, or it does not belong into the plan"
    start = replace(START, **GIVEN.get(field, {}))
    return start, replace(start, **OTHERS[field])


def test_the_same_plan_gives_the_same_run(
    outcomes: Any, child: tuple[Child, Path], random_base: Path, tmp_path: Path
) -> None:
    assert outcome(child, tmp_path / "job", random_base, START) == outcomes(START)


SUPERVISED = {"early_stop"}
"""Fields that storage acts on between two segments, which the child cannot know: tests/trainer/test_stopping_early.py."""
SWEPT = {"scales"}
"""Fields that change what is done with the chosen file: test_judge.py."""


@pytest.mark.parametrize("field", [field.name for field in fields(Plan) if field.name not in SUPERVISED | SWEPT])
def test_every_field_of_the_plan_changes_the_run(field: str, outcomes: Any) -> None:
    start, other = changed(field)
    assert outcomes(other) != outcomes(start)


LEARNED = (
    *("seed", "steps", "learning_rate", "warmup_steps", "schedule", "batch_size", "rank", "targets"),
    "weight_decay",
    "max_grad_norm",
    "resolution",
    "crop",
    "flip",
    "caption_dropout",
    "min_snr_gamma",
    "noise_offset",
    *("optimizer", "adam_beta1", "adam_beta2", "adam_epsilon", "prodigy_d_coef", "cosine_cycles", "accumulation"),
    *("ema_decay", "alpha", "lora_dropout", "pyramid_noise", "text_encoder_rate"),
    *("timestep_density", "timestep_mean", "timestep_std", "timestep_shift", "timestep_shift_px"),
    "captions",
    "trigger",
    "class_word",
    "held_out",
    *("caption_shuffle", "keep_tokens", "repeats", "concepts", "resolutions", "latents"),
    "continue_from",
    *("prior", "prior_share", "prior_weight", "prior_prompts", "prior_pictures"),
)
"""Fields that decide what is learned, not only what is shown or written."""


@pytest.mark.parametrize("field", LEARNED)
def test_fields_that_decide_what_is_learned_change_the_weights(field: str, outcomes: Any) -> None:
    start, other = changed(field)
    assert outcomes(other)["metadata"]["sshs_model_hash"] != outcomes(start)["metadata"]["sshs_model_hash"]


def test_moments_of_eight_bits_change_the_weights_and_not_much(outcomes: Any) -> None:
    start = replace(START, rank=128)  # matrices of 4096 numbers and more: smaller ones keep 32 bits
    eight = outcomes(replace(start, optimizer="adamw8bit"))
    assert eight["metadata"]["sshs_model_hash"] != outcomes(start)["metadata"]["sshs_model_hash"]
    ratios = [run["measured"][0]["training_ratio"] for run in (eight, outcomes(start))]
    assert ratios[0] == pytest.approx(ratios[1], abs=0.02)
