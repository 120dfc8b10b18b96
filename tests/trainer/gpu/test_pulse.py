"""A training whose loss explodes is sent back; one that only swings is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.builders import tiny_plan
from trainer.events import Departed, Failed
from trainer.gpu import pulse, training
from trainer.gpu.loop import StepLoss, train_step

Job = Callable[..., Path]


def beaten(*ratios: float, **changes: Any) -> float:
    plan, running = replace(tiny_plan(), **changes), pulse.START
    for now in ratios:
        running = pulse.beat(running, now, plan)
    return running


def test_each_view_counts_against_the_base_at_its_own_timesteps() -> None:
    loss = StepLoss(plain_B=(0.5, 0.02), t_B=(10, 990))
    base = (1.0, *(0.3,) * 6, 0.01)
    assert pulse.ratio(loss, base, range(125, 1000, 125)) == pytest.approx((0.5 + 2.0) / 2)


def test_single_steps_may_swing_as_far_as_sound_trainings_did() -> None:
    assert beaten(*(0.3, 1.97) * 30) < 1.3
    assert beaten(2.4) == pytest.approx(1.14)


def test_a_running_loss_above_the_bases_is_an_explosion() -> None:
    with pytest.raises(pulse.Exploded, match="over ten steps"):
        beaten(*(2.5,) * 10)


def test_one_jump_far_above_the_running_loss_is_an_explosion_whatever_the_noise() -> None:
    with pytest.raises(pulse.Exploded, match="rose to 11 times"):
        beaten(0.5, 0.5, 11.0, noise_offset=0.1)


def test_under_noise_that_the_base_was_not_measured_with_only_jumps_count() -> None:
    assert beaten(*(3.0,) * 50, pyramid_noise=0.5) == pytest.approx(3.0, rel=0.01)


def exploding(at_calls: set[int]) -> Callable[..., StepLoss]:
    """`train_step` whose loss is said to be twenty times as large at some calls, counted from 1."""
    calls = iter(range(1, 1000))

    def step(*args: Any, **named: Any) -> StepLoss:
        loss = train_step(*args, **named)
        times = 20.0 if next(calls) in at_calls else 1.0
        return replace(loss, plain_B=tuple(times * plain for plain in loss.plain_B))

    return step


def test_an_explosion_undoes_its_step_and_goes_on_from_the_stored_state_at_half_the_rate(
    desk: Any, job: Job, monkeypatch: pytest.MonkeyPatch, one: Callable[..., Any]
) -> None:
    plan = replace(tiny_plan(6, 4), checkpoint_steps=(2, 4), ema_decay=0.9)
    folder = job("broken", plan=plan)
    monkeypatch.setattr(training, "train_step", exploding({4}))
    departed = one(desk.train(folder, 4), Departed)
    assert (departed.step, departed.kind) == (3, "learning_rate_halved")
    assert "times the base's" in departed.reason
    monkeypatch.undo()
    again = job("again", plan=plan, departures=[departed])
    desk.train(again, 4)
    name = "checkpoints/4/lora.safetensors"
    assert (again / name).read_bytes() == (folder / name).read_bytes()


def test_after_two_halvings_an_explosion_ends_the_order_with_a_named_failure(
    desk: Any, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "train_step", exploding(set(range(1, 100))))
    told = desk.train(job(), 2)
    assert sum(isinstance(event, Departed) for event in told) == training.MOST_HALVINGS == 2
    assert isinstance(told[-1], Failed)
    assert (told[-1].fault, told[-1].retry) == ("program", False)
    assert "does not hold even at a quarter of its rate: the loss rose to" in told[-1].reason
