"""Killed anywhere and started again, a run ends with the bytes of one that was never disturbed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from storage.domain.plan import Plan
from tests.builders import CPU_FIT, make_job, tiny_plan
from trainer.events import Checkpointed, Finished, Train
from trainer.gpu import state
from trainer.gpu.channel import Channel
from trainer.gpu.child import Child

Job = Callable[..., Path]


def plan() -> Plan:
    return replace(tiny_plan(6, 6), checkpoint_steps=(3, 6), noise_offset=0.05)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, random_base: Path) -> dict[str, bytes]:
    """The files of a run in one go."""
    folder = tmp_path_factory.mktemp("undisturbed")
    make_job(folder, random_base, plan=plan())
    log = os.open(folder / "told.jsonl", os.O_CREAT | os.O_WRONLY)
    Child(Channel(log)).obey(Train(folder=str(folder), until=6))
    os.close(log)
    return files(folder)


def files(folder: Path) -> dict[str, bytes]:
    wanted = [*folder.glob("checkpoints/*/*"), *folder.glob("state/*/state.safetensors"), *folder.glob("delivery/*")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in wanted if path.suffix != ".part"}


def killed(work: Callable[[], Any], fault: str, mark: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Does the work in a forked process that kills itself at the gap, and proves that it did."""
    monkeypatch.setenv("LORASMITH_FAULT", fault)
    monkeypatch.setenv("LORASMITH_FAULT_MARK", str(mark))
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert mark.exists()
    monkeypatch.delenv("LORASMITH_FAULT")


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize(
    "fault",
    ["cache-write:4", "step:2", "step:5", "checkpoint-write:1", "checkpoint-write:2", "preview:1", "preview:3"],
)
def test_killed_at_a_gap_and_resumed_equals_undisturbed(
    fault: str, *, desk: Any, job: Job, tmp_path: Path, undisturbed: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = job(plan=plan())
    killed(lambda: desk.train(folder, 6), fault, tmp_path / "mark", monkeypatch)
    seen = desk.told()
    started_from = {event.step for event in seen if isinstance(event, Checkpointed)}
    told = desk.train(folder, 6)
    assert files(folder) == undisturbed
    if fault in {"step:5", "checkpoint-write:2"}:
        assert started_from == {3}
        assert [event.step for event in told if isinstance(event, Checkpointed)] == [6]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("fault", ["sweep:2", "header:3"])
def test_a_finish_killed_and_done_again_hands_over_the_same_files(
    fault: str, *, desk: Any, job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one: Any
) -> None:
    folder = job(plan=tiny_plan(6, 2))
    desk.train(folder, 2)
    killed(lambda: desk.finish(folder, 2), fault, tmp_path / "mark", monkeypatch)
    once = one(desk.finish(folder, 2), Finished)
    first = files(folder)
    desk.forget()
    again = one(desk.finish(folder, 2), Finished)
    assert files(folder) == first
    assert again.files == once.files


def test_a_segment_on_another_machine_goes_on_from_the_stored_state_alone(
    desk: Any, job: Job, undisturbed: dict[str, bytes]
) -> None:
    here, there = job("here", plan=plan()), job("there", plan=plan())
    desk.train(here, 3)
    (here / "state" / "3").rename(there / "moved")
    (there / "state").mkdir()
    (there / "moved").rename(there / "state" / "3")
    desk.forget()
    told = desk.train(there, 6)
    assert [event.step for event in told if isinstance(event, Checkpointed)] == [6]
    name = "checkpoints/6/lora.safetensors"
    assert files(there)[name] == undisturbed[name]
    measured = [event for event in told if isinstance(event, Checkpointed)]
    assert "validation_ratio" in measured[0].measurement


def test_a_damaged_state_is_passed_over_for_the_one_before(desk: Any, job: Job, undisturbed: dict[str, bytes]) -> None:
    folder = job(plan=plan())
    desk.train(folder, 6)
    weights = folder / "state" / "6" / "state.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    desk.forget()
    told = desk.train(folder, 6)
    assert [event.step for event in told if isinstance(event, Checkpointed)] == [6]
    name = "checkpoints/6/lora.safetensors"
    assert files(folder)[name] == undisturbed[name]


def test_a_state_of_another_plan_is_not_used(desk: Any, job: Job) -> None:
    folder = job(plan=plan())
    desk.train(folder, 3)
    first = (folder / "checkpoints" / "3" / "lora.safetensors").read_bytes()
    make_job(folder, desk.child._loaded.source, plan=replace(plan(), learning_rate=5e-3), fit=CPU_FIT)
    told = desk.train(folder, 3)
    assert any(isinstance(event, Checkpointed) for event in told)
    assert (folder / "checkpoints" / "3" / "lora.safetensors").read_bytes() != first


def test_asked_again_for_a_stored_checkpoint_it_makes_the_same_one_again(desk: Any, job: Job, one: Any) -> None:
    folder = job(plan=plan())
    first = one(desk.train(folder, 3), Checkpointed)
    desk.forget()
    second = one(desk.train(folder, 3), Checkpointed)
    assert second.lora_sha256 == first.lora_sha256
    assert not list(folder.rglob("*.part"))


def test_a_checkpoint_copies_the_weights_once_and_adds_what_it_measured_to_what_is_stored(
    desk: Any, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, copies = job(plan=tiny_plan(6, 2)), []
    taken = state.taken
    monkeypatch.setattr(state, "taken", lambda *a, **k: copies.append(1) or taken(*a, **k))
    desk.train(folder, 2)
    assert len(copies) == 1
    kept = state.newest(folder / "state", desk.child._bench.task.plan_sha256, 2)
    assert kept is not None
    assert list(kept.held_out_losses) == [2]
