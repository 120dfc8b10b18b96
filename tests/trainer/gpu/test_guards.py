"""What the child does when numbers or memory run out, or when it is told nonsense."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from storage.domain.orders import SubjectType
from tests.builders import CPU_FIT, make_job, tiny_plan
from trainer.events import Checkpointed, Departed, Failed
from trainer.gpu import job as jobs
from trainer.gpu import training
from trainer.gpu.loop import NotFinite, train_step

Job = Callable[..., Path]


def breaking(at_calls: set[int], error: Exception) -> Callable[..., Any]:
    """`train_step` that raises at some calls, counted from 1."""
    calls = iter(range(1, 1000))

    def step(*args: Any, **named: Any) -> Any:
        if next(calls) in at_calls:
            raise error
        return train_step(*args, **named)

    return step


def test_a_loss_that_is_no_number_sends_the_run_back_and_halves_the_rate(
    desk: Any, job: Job, monkeypatch: pytest.MonkeyPatch, one: Any
) -> None:
    plan = replace(tiny_plan(6, 4), checkpoint_steps=(2, 4))
    folder = job("broken", plan=plan)
    monkeypatch.setattr(training, "train_step", breaking({4}, NotFinite("loss nan")))
    told = desk.train(folder, 4)
    departed = one(told, Departed)
    assert (departed.step, departed.kind) == (3, "learning_rate_halved")
    assert [event.step for event in told if isinstance(event, Checkpointed)] == [2, 4]
    monkeypatch.undo()
    again = job("again", plan=plan, departures=[departed])
    desk.train(again, 4)
    name = "checkpoints/4/lora.safetensors"
    assert (again / name).read_bytes() == (folder / name).read_bytes()
    plain = job("plain", plan=plan)
    desk.train(plain, 4)
    assert (plain / name).read_bytes() != (folder / name).read_bytes()


def test_a_rate_halved_twice_on_the_way_to_one_step_is_a_quarter_after_a_kill_too(
    desk: Any, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = replace(tiny_plan(6, 4), checkpoint_steps=(2, 4))
    whole, killed = job("whole", plan=plan), job("killed", plan=plan)
    monkeypatch.setattr(training, "train_step", breaking({4, 6}, NotFinite("loss nan")))
    told = [event for event in desk.train(whole, 4) if isinstance(event, Departed)]
    assert [(event.step, event.ordinal) for event in told] == [(3, 0), (3, 1)]
    monkeypatch.undo()
    desk.train(killed, 2)
    desk.forget()
    make_job(killed, desk.child._loaded.source, plan=plan, departures=told)
    desk.train(killed, 4)
    name = "checkpoints/4/lora.safetensors"
    assert (killed / name).read_bytes() == (whole / name).read_bytes()


def test_a_real_infinity_is_caught_before_it_reaches_the_adapter(desk: Any, job: Job, one: Any) -> None:
    folder = job(plan=replace(tiny_plan(6, 4), checkpoint_steps=(2, 4)))
    desk.train(folder, 2)
    live = desk.child._training
    with torch.no_grad():
        next(iter(live.adapter.ups.values())).fill_(float("inf"))
    told = desk.train(folder, 4)
    assert one(told, Departed).kind == "learning_rate_halved"
    mark = next(event for event in told if isinstance(event, Checkpointed))
    assert "nan" not in json.loads(mark.measurement)["flags"]
    assert all(bool(torch.isfinite(p).all()) for p in live.adapter.parameters.values())


def test_a_loss_that_stays_undefined_ends_the_order_with_the_programs_fault(
    desk: Any, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "train_step", breaking(set(range(1, 100)), NotFinite("loss nan")))
    told = desk.train(job(), 2)
    assert isinstance(told[-1], Failed)
    assert (told[-1].fault, told[-1].retry) == ("program", False)
    assert sum(isinstance(event, Departed) for event in told) == training.MOST_HALVINGS


def test_without_memory_the_batch_is_split_and_the_step_is_done_again(
    desk: Any, job: Job, monkeypatch: pytest.MonkeyPatch, one: Any
) -> None:
    monkeypatch.setattr(training, "train_step", breaking({2}, torch.OutOfMemoryError("CUDA out of memory")))
    folder = job("split")
    departed = one(desk.train(folder, 2), Departed)
    assert (departed.step, departed.kind) == (2, "micro_batch_halved")
    monkeypatch.undo()
    again = job("again", departures=[departed])
    desk.train(again, 2)
    name = "checkpoints/2/lora.safetensors"
    assert (again / name).read_bytes() == (folder / name).read_bytes()


def test_without_memory_for_a_single_picture_the_machine_is_at_fault_and_a_retry_may_help(
    desk: Any, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "train_step", breaking(set(range(1, 9)), torch.OutOfMemoryError("out of memory")))
    told = desk.train(job(fit=replace(CPU_FIT, micro_batch=1)), 2)
    assert isinstance(told[-1], Failed)
    assert (told[-1].fault, told[-1].retry) == ("machine", True)


def test_a_picture_that_went_bad_is_the_pictures_fault(desk: Any, job: Job) -> None:
    folder = job()
    (folder / "pictures" / "1.png").write_bytes(b"gone bad")
    told = desk.train(folder, 2)
    assert isinstance(told[-1], Failed)
    assert told[-1].fault == "pictures"


def test_a_base_that_is_not_there_is_the_machines_fault_and_no_path_is_told(desk: Any, tmp_path: Path) -> None:
    make_job(tmp_path / "job", tmp_path / "secret-folder")
    told = desk.train(tmp_path / "job", 2)
    assert isinstance(told[-1], Failed)
    assert told[-1].fault == "machine"
    assert "secret" not in told[-1].reason


HOSTILE_JOBS: list[dict[str, Any]] = [
    {"extra": 1},
    {"stem": "../../etc/passwd"},
    {"stem": "A b"},
    {"date": "yesterday"},
    {"pictures": []},
    {"pictures": [{"id": "p0", "file": "/etc/passwd", "held_out": False}]},
    {"pictures": [{"id": "p0", "file": "../job.json", "held_out": False}]},
    {"pictures": [{"id": "p0", "file": "pictures/0.png", "held_out": False}] * 2},
    {"plan": "{}"},
    {"plan": "[" * 100_000},
    {"fit": '{"device": "tpu"}'},
]
HOSTILE_PLANS: list[dict[str, Any]] = [
    {"base": "/etc"},
    {"unknown": 1},
    {"steps": 10**9},
    {"steps": "many"},
    {"checkpoint_steps": [2, 1]},
    {"batch_size": 10**6},
    {"rank": 10**6},
    {"resolution": 10**6},
    {"learning_rate": -1.0},
    {"captions": []},
    {"captions": ["x" * 10_000]},
    {"prompts": []},
    {"held_out": []},
    {"preview_steps": 10**6},
]


@pytest.mark.parametrize("wrong", HOSTILE_JOBS, ids=lambda wrong: next(iter(wrong)))
def test_a_job_that_the_supervisor_would_not_write_is_refused(wrong: dict[str, Any], tmp_path: Path) -> None:
    make_job(tmp_path, "nowhere")
    jobs.read(tmp_path)
    data = json.loads((tmp_path / "job.json").read_text())
    (tmp_path / "job.json").write_text(json.dumps({**data, **wrong}))
    with pytest.raises(jobs.JobRefused):
        jobs.read(tmp_path)


@pytest.mark.parametrize("wrong", HOSTILE_PLANS, ids=lambda wrong: next(iter(wrong)))
def test_a_plan_outside_all_bounds_is_refused(wrong: dict[str, Any], tmp_path: Path) -> None:
    make_job(tmp_path, "nowhere")
    data = json.loads((tmp_path / "job.json").read_text())
    data["plan"] = json.dumps({**json.loads(data["plan"]), **wrong})
    (tmp_path / "job.json").write_text(json.dumps(data))
    with pytest.raises(jobs.JobRefused):
        jobs.read(tmp_path)


def test_a_job_file_too_large_or_missing_or_linked_is_refused(tmp_path: Path) -> None:
    with pytest.raises(jobs.JobRefused):
        jobs.read(tmp_path)
    (tmp_path / "job.json").write_text(" " * (jobs.MAX_BYTES + 1))
    with pytest.raises(jobs.JobRefused):
        jobs.read(tmp_path)
    make_job(tmp_path, "nowhere")
    (tmp_path / "pictures" / "0.png").unlink()
    (tmp_path / "pictures" / "0.png").symlink_to("/etc/passwd")
    with pytest.raises(jobs.JobRefused):
        jobs.read(tmp_path)


def test_a_refused_command_leaves_the_child_able_to_do_the_next(desk: Any, job: Job) -> None:
    folder = job()
    assert isinstance(desk.train(folder, 99)[-1], Failed)
    assert isinstance(desk.finish(folder, 2)[-1], Failed)
    assert any(isinstance(event, Checkpointed) for event in desk.train(folder, 2))


def test_every_subject_type_can_be_trained(tmp_path: Path) -> None:
    for kind in SubjectType:
        make_job(tmp_path / kind, "nowhere", plan=replace(tiny_plan(), subject_type=kind))
        assert jobs.read(tmp_path / kind).plan.subject_type is kind


@pytest.mark.parametrize(
    "error",
    [
        torch.AcceleratorError("CUDA error: unspecified launch failure"),
        RuntimeError("CUDA error: GPU is lost"),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    ],
    ids=["launch", "lost", "cudnn"],
)
def test_a_gpu_lost_in_the_middle_of_a_step_is_named_and_tried_again_from_the_last_checkpoint(
    error: Exception, desk: Any, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is computed on it any more, not even to free its memory: that would raise again."""
    plan = replace(tiny_plan(6, 2), checkpoint_steps=(1, 2))
    folder = job(plan=plan)
    desk.train(folder, 1)
    with monkeypatch.context() as broken:
        broken.setattr(training, "train_step", breaking({1}, error))
        broken.setattr("trainer.gpu.child.free", lambda: pytest.fail("a lost GPU was asked for its memory"))
        failed = desk.train(folder, 2)[-1]
    assert isinstance(failed, Failed)
    assert (failed.fault, failed.retry) == ("machine", True)
    assert "the GPU broke off in the middle of its work" in failed.reason
    assert not [event for event in desk.told() if isinstance(event, Departed)]
    assert desk.child._loaded is None
    told = desk.train(folder, 2)
    assert [event.step for event in told if isinstance(event, Checkpointed)] == [2]


def test_cudas_own_words_for_no_memory_are_no_lost_gpu() -> None:
    from trainer.gpu.memory import is_out_of_memory

    assert is_out_of_memory(torch.AcceleratorError("CUDA error: out of memory"))
    assert is_out_of_memory(RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"))
    assert not is_out_of_memory(torch.AcceleratorError("CUDA error: an illegal memory access was encountered"))
