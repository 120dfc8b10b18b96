"""The learning rate over the steps, as its papers have it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from storage.domain.plan import Departure, Plan
from tests.builders import tiny_plan
from trainer.gpu.rates import learning_rate


def plan(steps: int = 100, **changes: object) -> Plan:
    made = replace(tiny_plan(), steps=steps, checkpoint_steps=(steps,), learning_rate=1.0, warmup_steps=0)
    return replace(made, **changes)  # type: ignore[arg-type]


def rates(of: Plan) -> list[float]:
    return [learning_rate(of, (), step) for step in range(1, of.steps + 1)]


def test_a_constant_rate_stays() -> None:
    assert set(rates(plan(schedule="constant"))) == {1.0}


def test_the_warm_up_rises_in_a_line_and_meets_the_full_rate() -> None:
    warm = rates(plan(schedule="constant", warmup_steps=10))
    assert warm[:10] == pytest.approx([0.1 * step for step in range(1, 11)])
    assert set(warm[10:]) == {1.0}


def test_a_cosine_is_half_way_down_in_the_middle_and_its_mean_is_a_half() -> None:
    found = rates(plan(steps=1000, schedule="cosine"))
    assert found[0] == 1.0
    assert found[500] == pytest.approx(0.5)
    assert found[250] == pytest.approx((1 + 2**-0.5) / 2)  # cos(pi / 4) = 1 / sqrt 2
    assert sum(found) / 1000 == pytest.approx(0.5, abs=1e-3)
    assert 0.0 < found[-1] < 1e-5


def test_every_cycle_of_a_cosine_is_the_same_fall_from_the_full_rate() -> None:
    found = rates(plan(steps=300, schedule="cosine", cosine_cycles=3))
    assert found[0] == found[100] == found[200] == 1.0
    assert found[:100] == pytest.approx(found[100:200])
    assert found[:100] == pytest.approx(rates(plan(steps=100, schedule="cosine")))
    assert max(found[99], found[199], found[299]) < 1e-3


def test_departures_halve_whatever_the_schedule_says() -> None:
    left = (Departure(step=51, kind="learning_rate_halved", reason="test"),)
    of = plan(schedule="cosine", cosine_cycles=2)
    assert learning_rate(of, left, 50) == learning_rate(of, (), 50)
    assert learning_rate(of, left, 51) == learning_rate(of, (), 51) / 2
