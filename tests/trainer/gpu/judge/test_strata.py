"""Judged timesteps stand for equally likely parts of what is trained."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from tests.builders import tiny_plan
from trainer.gpu.judge.strata import STRATA, edges, middles, stratum
from trainer.gpu.pictures import Shape
from trainer.gpu.timesteps import timesteps

SQUARE = Shape(height=64, width=64)


def test_under_a_uniform_density_they_are_the_middles_of_equal_parts() -> None:
    assert middles(tiny_plan(), SQUARE, 1000) == (62, 187, 312, 437, 562, 687, 812, 937)
    assert edges(tiny_plan(), SQUARE, 1000) == (125, 250, 375, 500, 625, 750, 875)


@pytest.mark.parametrize(
    "density",
    [
        {"timestep_density": "logit-normal", "timestep_mean": -0.4, "timestep_std": 0.8},
        {"timestep_shift": 3.0},
        {"timestep_density": "logit-normal", "timestep_shift": 1.5, "timestep_shift_px": 32},
    ],
)
def test_training_falls_into_every_stratum_as_often_and_half_of_it_below_the_middle(density: dict[str, object]) -> None:
    plan = replace(tiny_plan(), batch_size=64, **density)
    drawn = [t for step in range(1, 41) for t in timesteps(plan, [SQUARE] * 64, 1000, step)]
    begins, halves = edges(plan, SQUARE, 1000), middles(plan, SQUARE, 1000)
    found = Counter(stratum(t, begins) for t in drawn)
    assert sorted(found) == list(range(STRATA))
    assert max(found.values()) < 1.1 * min(found.values())
    low = Counter(stratum(t, begins) for t in drawn if t < halves[stratum(t, begins)])
    assert [low[k] / found[k] for k in range(STRATA)] == pytest.approx([0.5] * STRATA, abs=0.1)


def test_larger_pictures_are_judged_at_more_noise_where_they_are_trained_so() -> None:
    plan = replace(tiny_plan(), timestep_shift_px=32)
    small, large = (middles(plan, Shape(height=px, width=px), 1000) for px in (32, 128))
    assert small == middles(tiny_plan(), SQUARE, 1000)
    assert all(a < b for a, b in zip(small, large, strict=True))
