"""What a step looks at."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from PIL import Image

from tests.builders import tiny_plan
from trainer.gpu.latents import Encoded
from trainer.gpu.pictures import Framed, Shape
from trainer.gpu.views import views

STEPS, VIEWS = 250, 8


def encoded(number: int) -> Encoded:
    framed = Framed(
        id=f"p{number}",
        sha256="",
        image=Image.new("RGB", (8, 8)),
        shape=Shape(height=8, width=8),
        original=(8, 8),
        held_out=False,
    )
    return Encoded(picture=framed, kept={"plain": torch.zeros(1, 1, 1), "mirrored": torch.ones(1, 1, 1)})


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_half_of_the_views_are_mirrored_each_by_a_coin_of_its_own(seed: int) -> None:
    """Binomial: n / 2 give or take 4 sqrt(n) / 2 in all and of each place, and VIEWS / 4 is the variance within a step."""
    plan = replace(tiny_plan(5), seed=seed, batch_size=VIEWS, flip=True)
    pictures = [encoded(number) for number in range(5)]
    seen = [[view.mirrored for view in views(plan, pictures, 1000, step)] for step in range(1, STEPS + 1)]
    assert abs(sum(map(sum, seen)) - STEPS * VIEWS / 2) < 2 * math.sqrt(STEPS * VIEWS)
    for place in range(VIEWS):
        assert abs(sum(step[place] for step in seen) - STEPS / 2) < 2 * math.sqrt(STEPS)
    variance = sum((sum(step) - VIEWS / 2) ** 2 for step in seen) / STEPS
    assert variance == pytest.approx(VIEWS / 4, rel=0.4)  # four times the spread of a variance over 250 steps
    first = views(plan, pictures, 1000, 1)
    assert all(float(view.latents) == view.mirrored for view in first), "and its latents are the mirrored ones"
    assert not any(view.mirrored for view in views(replace(plan, flip=False), pictures, 1000, 1))
