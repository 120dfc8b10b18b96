"""Going on from a LoRA: its product is where the training begins, and no other file than the planned one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from storage.domain.contradictions import contradictions
from tests.builders import tiny_plan
from trainer.events import Checkpointed, Failed
from trainer.gpu import export
from trainer.gpu import job as jobs
from trainer.gpu.continuing import FILE, start_of

Job = Callable[..., Path]
PLAN = replace(tiny_plan(6, 4), checkpoint_steps=(2, 4), learning_rate=3e-3)


@pytest.fixture
def file(desk: Any, job: Job, one: Any) -> bytes:
    """A LoRA of two steps, in fp32: nothing of it is rounded."""
    folder = job("first", plan=replace(PLAN, steps=2, checkpoint_steps=(2,), file_dtype="fp32"))
    return (folder / one(desk.train(folder, 2), Checkpointed).lora).read_bytes()


@pytest.fixture
def going(job: Job, file: bytes) -> Callable[..., Path]:
    def made(name: str, data: bytes = file, **changes: Any) -> Path:
        plan = replace(PLAN, continue_from=hashlib.sha256(data).hexdigest(), **changes)
        folder = job(name, plan=plan)
        (folder / FILE).write_bytes(data)
        return folder

    return made


def lora(folder: Path, step: int) -> Path:
    return folder / f"checkpoints/{step}/lora.safetensors"


@pytest.mark.parametrize("alpha", [None, 0.5])
def test_it_begins_as_what_the_file_does_whatever_alpha_it_trains_with(
    alpha: float | None, desk: Any, going: Callable[..., Path]
) -> None:
    folder = going("next", alpha=alpha)
    desk.train(folder, 2)
    training = desk.child._training
    begun = start_of(jobs.read(folder), training.adapter)
    written = export.read(folder / FILE, training.adapter.paths)
    for path, (down, up) in written.items():
        product = training.adapter.scale * (begun[f"{path}.up"].flatten(1) @ begun[f"{path}.down"].flatten(1))
        torch.testing.assert_close(product, export.product(down, up), rtol=1e-6, atol=1e-9)
    fresh = going("fresh", alpha=alpha, learning_rate=1e-8, file_dtype="fp32")
    desk.train(fresh, 2)
    unmoved = export.read(lora(fresh, 2), training.adapter.paths)
    for path, (down, up) in written.items():
        torch.testing.assert_close(export.product(*unmoved[path]), export.product(down, up), rtol=1e-3, atol=1e-6)


def test_interrupted_it_ends_as_in_one_go(desk: Any, going: Callable[..., Path]) -> None:
    whole, broken = going("whole"), going("broken")
    desk.train(whole, 4)
    desk.train(broken, 2)
    desk.forget()
    desk.train(broken, 4)
    assert lora(whole, 4).read_bytes() == lora(broken, 4).read_bytes()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rank": 4}, "has rank 2, the plan 4; set `rank` to its"),
        ({"targets": "attention+ff"}, "lacks .* tensors, such as .*; are base and targets its own"),
    ],
)
def test_a_file_that_does_not_fit_the_plan_is_refused_by_what_does_not(
    changes: dict[str, Any], said: str, desk: Any, going: Callable[..., Path]
) -> None:
    told = desk.train(going("next", **changes), 2)
    (failed,) = [event for event in told if isinstance(event, Failed)]
    assert not failed.retry

    assert re.search(said, failed.reason), failed.reason


def test_more_modules_than_planned_are_refused(desk: Any, job: Job, one: Any, going: Callable[..., Path]) -> None:
    folder = job("wide", plan=replace(PLAN, steps=2, checkpoint_steps=(2,), targets="attention+ff"))
    wide = (folder / one(desk.train(folder, 2), Checkpointed).lora).read_bytes()
    (failed,) = [event for event in desk.train(going("next", wide), 2) if isinstance(event, Failed)]
    assert "tensors more than the plan's targets" in failed.reason


def test_another_file_than_the_planned_one_or_none_is_refused(
    desk: Any, going: Callable[..., Path], file: bytes
) -> None:
    folder = going("next")
    (folder / FILE).write_bytes(file[:-4] + b"\0\0\0\0")
    (failed,) = [event for event in desk.train(folder, 2) if isinstance(event, Failed)]
    assert "not the one that the plan names" in failed.reason
    (folder / FILE).unlink()
    failed = [event for event in desk.train(folder, 2) if isinstance(event, Failed)][-1]
    assert "not the one that the plan names" in failed.reason
    (failed,) = [event for event in desk.train(going("junk", b"junk" * 100), 2) if isinstance(event, Failed)]
    assert not failed.retry


def test_a_hash_that_is_none_is_refused_by_name() -> None:
    assert {name for name, _ in contradictions(replace(PLAN, continue_from="abc"))} == {"continue_from"}
    assert not list(contradictions(replace(PLAN, continue_from="a" * 64)))
