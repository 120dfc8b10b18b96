"""Interrupted equals uninterrupted, bit for bit, whatever learns: every optimiser, mean, dropout, accumulation, departures.

Steps alone, without checkpoints: what is stored and read back is all that is looked at. Whole runs are in test_resume.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from storage.domain.plan import Concept, Plan
from tests.builders import make_job, tiny_plan
from trainer.events import Departed
from trainer.gpu import job as jobs
from trainer.gpu import loop, training
from trainer.gpu import state as states
from trainer.gpu.bench import Bench, Loaded, load
from trainer.gpu.channel import Channel
from trainer.gpu.training import Training

STEPS = 5
EVERYTHING: dict[str, Any] = {
    "accumulation": 2,
    "alpha": 1.0,
    "cosine_cycles": 2,
    "ema_decay": 0.9,
    "lora_dropout": 0.2,
    "pyramid_noise": 0.4,
    "schedule": "cosine",
    "timestep_density": "logit-normal",
    "timestep_shift": 2.0,
}
WAYS: dict[str, dict[str, Any]] = {
    "adamw": {},
    "adamw8bit": {"optimizer": "adamw8bit", "rank": 64},
    "prodigy": {"optimizer": "prodigy", "learning_rate": 1.0},
    "everything": EVERYTHING,
    "tags and repeats": {"captions": ("{trigger}, red, round",), "caption_shuffle": 4, "repeats": ("p1", "p2", "p1")},
    "concepts": {
        "concepts": (
            Concept(trigger="zorvex", class_word="toy", pictures=("p0", "p1")),
            Concept(trigger="kredax", class_word="robot", pictures=("p2", "p3", "p4", "p5"), repeats=2),
        ),
        "prompts": (replace(tiny_plan().prompts[0], text="a zorvex toy and a kredax robot"), tiny_plan().prompts[1]),
        "prior": "base_prediction",
    },
    "sizes and posteriors": {"resolutions": (48,), "latents": "sampled"},
    "base's prediction": {"prior": "base_prediction", "prior_share": 0.6, "prior_prompts": ("a red car",)},
    "class pictures": {
        **EVERYTHING,
        "prior": "class_pictures",
        "prior_pictures": 3,
        "captions": ("{trigger} {class_word}, red, round",),
        "caption_shuffle": 2,
    },
    "everything, 8 bits": {**EVERYTHING, "optimizer": "adamw8bit", "rank": 64},
    "everything, prodigy": {**EVERYTHING, "optimizer": "prodigy", "learning_rate": 1.0},
}
LEFT = (
    Departed(step=2, kind="micro_batch_halved", reason="test"),
    Departed(step=4, kind="learning_rate_halved", reason="test"),
)


@pytest.fixture(scope="module")
def loaded(random_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    folder = tmp_path_factory.mktemp("loaded")
    make_job(folder, random_base)
    return load(jobs.read(folder))


@pytest.fixture
def begin(tmp_path: Path, random_base: Path, loaded: Loaded) -> Callable[..., Training]:
    """A training as a new process has it; those of one test share a folder."""
    log = os.open(tmp_path / "told.jsonl", os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    benches: dict[str, Bench] = {}

    def made(plan: Plan, departures: tuple[Departed, ...] = ()) -> Training:
        make_job(tmp_path / "job", random_base, plan=plan, departures=departures)
        task = jobs.read(tmp_path / "job")
        known = benches.get(plan.to_json()) or Bench(task, loaded, Channel(log))
        known.task, benches[plan.to_json()] = task, known
        return Training(known)

    return made


def plan(**changes: Any) -> Plan:
    made = replace(tiny_plan(6, STEPS), learning_rate=3e-3)
    return replace(made, **changes)


def stepped(of: Training, until: int) -> Training:
    while of.step < until:
        of._one_step()
    return of


def weights(of: Training) -> dict[str, torch.Tensor]:
    """Everything that a state holds, and what would be exported."""
    delivered = of._delivered()
    return {**of._state().tensors, **{f"file/{path}": up for path, up in delivered.ups.items()}}


def same(one: Training, other: Training) -> bool:
    a, b = weights(one), weights(other)
    assert a.keys() == b.keys()
    assert one._state().numbers == other._state().numbers
    assert one._ratio == other._ratio
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize(
    ("way", "departures"),
    [*((way, ()) for way in WAYS), ("everything", LEFT), ("everything, prodigy", LEFT)],
    ids=[*WAYS, "everything, departed", "everything, prodigy, departed"],
)
def test_a_training_that_is_stored_and_read_back_twice_ends_as_one_in_one_go(
    way: str, departures: tuple[Departed, ...], begin: Callable[..., Training]
) -> None:
    undisturbed = stepped(begin(plan(**WAYS[way]), departures), STEPS)
    for until in (1, 3):
        resumed = begin(plan(**WAYS[way]), departures)
        resumed.rewind(until)
        stepped(resumed, until)._store()
    last = begin(plan(**WAYS[way]), departures)
    last.rewind(STEPS)
    assert last.step == 3
    assert same(stepped(last, STEPS), undisturbed)


def test_the_optimisers_under_test_are_what_they_are_called(begin: Callable[..., Training]) -> None:
    eight = stepped(begin(plan(**WAYS["adamw8bit"])), 1)._state().tensors
    assert any(t.dtype == torch.uint8 for t in eight.values())
    numbers = stepped(begin(plan(**WAYS["prodigy"])), 1)._state().numbers
    assert {"d", "d_max", "d_numerator", "k"} <= numbers.keys()
    assert any(key.startswith("average/") for key in begin(plan(ema_decay=0.9))._state().tensors)


@pytest.mark.parametrize("way", ["adamw8bit", "everything, prodigy"])
def test_sent_back_by_a_loss_that_is_no_number_it_goes_on_as_a_resume_with_that_departure_does(
    way: str, begin: Callable[..., Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = stepped(begin(plan(**WAYS[way])), 3)
    first._store()
    stepped(first, 4)
    with monkeypatch.context() as broken:
        broken.setattr(training, "train_step", _no_number)
        first._one_step()
    assert (first.step, first.departures[-1].step) == (3, 4)
    stepped(first, STEPS)
    left = Departed(step=4, kind="learning_rate_halved", reason="test")
    again = begin(plan(**WAYS[way]), (left,))
    again.rewind(3)
    assert same(stepped(again, STEPS), first)


def _no_number(*_: Any, **__: Any) -> loop.StepLoss:
    raise loop.NotFinite("loss nan")


def test_a_state_is_safetensors_and_json_alone(begin: Callable[..., Training], tmp_path: Path) -> None:
    stepped(begin(plan(**WAYS["everything, prodigy"])), 1)._store()
    assert {path.name for path in (tmp_path / "job" / "state" / "1").iterdir()} == {"state.safetensors", "state.json"}
    assert states.newest(tmp_path / "job" / "state", jobs.read(tmp_path / "job").plan_sha256, 1) is not None
