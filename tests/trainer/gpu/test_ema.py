"""The running mean forgets as fast as its equation says."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from trainer.gpu.ema import Average, decay_at


def average(decay: float) -> tuple[nn.Parameter, Average]:
    weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    return weight, Average({"w": weight}, decay)


def set_to(weight: nn.Parameter, value: float) -> None:
    with torch.no_grad():
        weight.fill_(value)


def test_the_ramp_starts_short_and_ends_at_the_decay() -> None:
    assert decay_at(1, 0.99) == pytest.approx(2 / 11)
    assert decay_at(98, 0.99) == pytest.approx(99 / 108)
    assert decay_at(10_000, 0.99) == 0.99
    assert all(decay_at(n, 0.999) < decay_at(n + 1, 0.999) for n in range(1, 500))


def test_the_first_weights_are_forgotten_as_the_ramps_product_says() -> None:
    """What is left of the start after N updates: the product of (1 + n) / (10 + n), which is 10! (N + 1)! / (N + 10)!."""
    weight, mean = average(0.9999)
    set_to(weight, 1.0)
    for step in range(1, 21):
        mean.update(step)
    left = 10 * math.factorial(9) * math.factorial(21) / math.factorial(30)
    assert 1.0 - float(mean.tensors["w"]) == pytest.approx(left, rel=1e-9)


def test_behind_a_steady_climb_it_lags_by_decay_over_one_minus_decay() -> None:
    weight, mean = average(0.9)
    for step in range(1, 400):
        set_to(weight, float(step))
        mean.update(step)
    assert 399 - float(mean.tensors["w"]) == pytest.approx(0.9 / (1 - 0.9), rel=1e-6)


def test_it_calms_noise_by_the_root_of_one_minus_over_one_plus_decay() -> None:
    """Variance of an exponential mean of independent values: (1 - d) / (1 + d) of theirs."""
    values = torch.randn(8_000, generator=torch.Generator().manual_seed(1)).tolist()
    weight, mean = average(0.9)
    found = []
    for step, value in enumerate(values, start=1):
        set_to(weight, value)
        mean.update(step)
        found.append(float(mean.tensors["w"]))
    assert float(torch.tensor(found[500:]).var()) == pytest.approx(0.1 / 1.9, rel=0.15)


def test_a_mean_of_other_names_or_shapes_is_refused() -> None:
    _, mean = average(0.9)
    with pytest.raises(KeyError):
        mean.load({})
    with pytest.raises(ValueError, match="another shape"):
        mean.load({"w": torch.zeros(2)})
