"""Training through the child: what is learned, what stays, what is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from storage.domain.measurement import Measurement, ScaleChoice
from tests.builders import drawn_pictures, tiny_plan, without_validation
from trainer.events import Checkpointed, Finished, Progressed, Trained

Job = Callable[..., Path]


def test_the_loss_falls_on_one_picture_and_only_the_adapter_moves(desk: Any, job: Job, one: Any) -> None:
    plan = replace(without_validation(tiny_plan(1, 30)), learning_rate=3e-3, rank=8, targets="attention+ff+conv")
    folder = job(pictures=1, plan=plan)
    desk.train(folder, 30)
    before = {k: v.clone() for k, v in desk.child._loaded.base.denoiser.state_dict().items()}
    denoiser = desk.child._training.adapter.denoiser
    measured = Measurement.from_json(one(desk.told(), Checkpointed).measurement)
    assert measured.training_ratio is not None
    assert measured.training_ratio < 0.9
    learned = {name for name, p in denoiser.named_parameters() if p.requires_grad}
    assert learned
    assert all("lora_" in name for name in learned)
    frozen = {
        name.replace(".base_layer", ""): value for name, value in denoiser.state_dict().items() if "lora_" not in name
    }
    assert frozen.keys() == before.keys()
    assert all(torch.equal(frozen[name], before[name]) for name in before)


def test_a_whole_order_is_trained_finished_and_told_in_events_of_the_seam(desk: Any, job: Job, one: Any) -> None:
    folder = job(steps=2)
    told = desk.train(folder, 2)
    mark = one(told, Checkpointed)
    assert (folder / mark.lora).stat().st_size == mark.lora_bytes
    assert (folder / mark.grid).is_file()
    assert len(mark.previews) == 8
    assert all((folder / p.file).is_file() for p in mark.previews)
    measured = Measurement.from_json(mark.measurement)
    assert None not in (measured.validation_ratio, measured.likeness, measured.adherence, measured.leakage)
    assert len(measured.utilities) == 1
    trained = one(told, Trained)
    assert (folder / trained.state / "state.safetensors").is_file()
    assert isinstance(told[-1], Trained)
    done = one(desk.finish(folder, 2, max_bytes=10_000_000), Finished)
    assert (folder / done.files["lora"]).read_bytes() == (folder / mark.lora).read_bytes()
    assert json.loads((folder / done.files["sidecar"]).read_text())["preferred weight"] > 0
    assert done.files.keys() == {"lora", "sidecar", "preview", "strip"}
    choice = ScaleChoice.from_json(done.scale)
    assert {0.3, 0.48, 0.76, 1.2} <= {point.scale for point in choice.points}
    assert choice.reported is not None
    assert choice.reported.scale == choice.recommended
    assert choice.reported not in choice.points, "other prompts and seeds than those that chose"


def test_progress_is_told_at_most_once_a_second(desk: Any, job: Job, monkeypatch: Any) -> None:
    clock = iter(range(10_000))
    monkeypatch.setattr("trainer.gpu.channel.time.monotonic", lambda: next(clock) * 0.25)
    told = desk.train(job(steps=8), 8)
    every = [event for event in told if isinstance(event, Progressed)]
    assert 2 <= len(every) <= next(clock) * 0.25 + 1
    ratios = [event.loss_ratio for event in every if event.stage == "training"]
    assert all(ratio is not None and 0.3 < ratio < 3.0 for ratio in ratios)


def test_micro_batches_and_checkpointing_change_nothing_beyond_rounding(desk: Any, job: Job, one: Any) -> None:
    from safetensors.torch import load_file

    from tests.builders import CPU_FIT

    plan = replace(tiny_plan(6, 2), batch_size=4)
    fits = [
        replace(CPU_FIT, micro_batch=4),
        replace(CPU_FIT, micro_batch=1),
        replace(CPU_FIT, micro_batch=2, gradient_checkpointing=True),
    ]
    files = []
    for number, fit in enumerate(fits):
        folder = job(f"job{number}", plan=plan, fit=fit)
        files.append(load_file(folder / one(desk.train(folder, 2), Checkpointed).lora))
    for other in files[1:]:
        for name, tensor in files[0].items():
            # Adam divides by the gradient's own size, so rounding shows where a gradient is all but zero
            near = torch.isclose(other[name].float(), tensor.float(), atol=2e-4).float().mean()
            assert near > 0.98, name


def test_accumulated_batches_are_one_large_batch(desk: Any, job: Job, one: Any) -> None:
    """The same pictures, noises and timesteps in one step: the mean of the batches' gradients is the large batch's."""
    from safetensors.torch import load_file

    files = []
    for batch, accumulation in ((2, 2), (4, 1)):
        plan = replace(tiny_plan(6, 2), batch_size=batch, accumulation=accumulation)
        folder = job(f"of-{batch}", plan=plan)
        files.append(load_file(folder / one(desk.train(folder, 2), Checkpointed).lora))
    for name, tensor in files[0].items():
        assert torch.equal(files[1][name], tensor), name


def test_the_next_segment_goes_on_in_memory(desk: Any, job: Job, monkeypatch: Any) -> None:
    plan = replace(tiny_plan(6, 4), checkpoint_steps=(2, 4))
    folder = job(plan=plan)
    desk.train(folder, 2)
    live = desk.child._training
    told = desk.train(folder, 4)
    assert desk.child._training is live
    assert [event.step for event in told if isinstance(event, Checkpointed)] == [4]


def test_a_second_picture_set_of_the_same_base_does_not_load_it_again(desk: Any, job: Job) -> None:
    desk.train(job("a"), 2)
    loaded = desk.child._loaded
    desk.train(job("b", pictures=drawn_pictures(7), plan=tiny_plan(7)), 2)
    assert desk.child._loaded is loaded
