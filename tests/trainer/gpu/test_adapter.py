"""Rank and alpha: what is trained, and what leaves the training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from storage.domain.plan import Plan
from tests.builders import tiny_plan
from trainer.events import Checkpointed
from trainer.gpu.adapter import NAME, Adapter, attach

Job = Callable[..., Path]


class Small(nn.Module):
    """Two layers of a denoiser."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            self.first, self.second = nn.Linear(16, 24), nn.Conv2d(4, 8, 3, padding=1)


def attached(**changes: Any) -> Adapter:
    plan: Plan = replace(tiny_plan(), **changes)
    adapter = attach(Small(), ("first", "second"), plan)
    with torch.no_grad():
        for up in adapter.ups.values():
            up.normal_(generator=torch.Generator().manual_seed(3))
    return adapter


@pytest.mark.parametrize("rank", [1, 4, 128])
@pytest.mark.parametrize("alpha", [None, 1.0, 7.5])
def test_what_is_delivered_at_alpha_equal_to_rank_is_what_the_trained_layers_say(
    rank: int, alpha: float | None
) -> None:
    """The layer says W x + (alpha / rank) B A x (Hu et al. 2021, section 4.1)."""
    adapter = attached(rank=rank, alpha=alpha)
    given = adapter.delivered()
    assert given.rank == rank
    layer: Any = adapter.denoiser.first  # type: ignore[union-attr]
    x = torch.randn(5, 16, generator=torch.Generator().manual_seed(2))
    trained = layer(x) - layer.base_layer(x)
    assert torch.allclose(x @ given.downs["first"].T @ given.ups["first"].T, trained, atol=1e-4)
    assert layer.scaling[NAME] == pytest.approx((alpha or rank) / rank)
    convolution: Any = adapter.denoiser.second  # type: ignore[union-attr]
    y = torch.randn(1, 4, 6, 6, generator=torch.Generator().manual_seed(2))
    weight = torch.einsum("or,rikl->oikl", given.ups["second"].flatten(1), given.downs["second"])
    wanted = nn.functional.conv2d(y, weight, padding=1)
    assert torch.allclose(wanted, convolution(y) - convolution.base_layer(y), atol=1e-4)


def test_without_an_alpha_what_is_delivered_is_the_parameters_bit_for_bit() -> None:
    adapter = attached(rank=4)
    given = adapter.delivered()
    assert all(torch.equal(given.downs[path], adapter.downs[path]) for path in adapter.paths)
    assert all(torch.equal(given.ups[path], adapter.ups[path]) for path in adapter.paths)


def test_at_a_fixed_alpha_the_first_step_moves_the_product_alike_at_every_rank() -> None:
    """With alpha fixed a rate need not be tuned again for each rank (Hu et al. 2021, section 4.1).

    Adam's first step sets B to rate * sign(gradient), so the product's move is (alpha / rank) * rate * |A|'s row sums: it
    keeps its size from rank 4 to 64, and with alpha = rank it grows with the rank.
    """

    def move(rank: int, alpha: float | None) -> float:
        adapter = attached(rank=rank, alpha=alpha)
        given = adapter.delivered({**adapter.parameters, "first.up": torch.ones_like(adapter.ups["first"])})
        return float((given.ups["first"].abs() @ given.downs["first"].abs()).mean())

    assert move(64, 4.0) / move(4, 4.0) == pytest.approx(1.0, rel=0.15)
    assert move(64, None) / move(4, None) == pytest.approx(16.0, rel=0.15)


def test_the_exported_file_holds_the_mean_where_one_is_kept_with_alpha_folded_in(
    desk: Any, job: Job, one: Callable[..., Any]
) -> None:
    folder = job(plan=replace(tiny_plan(6, 3), alpha=0.5, ema_decay=0.9, learning_rate=3e-3))
    file = load_file(folder / one(desk.train(folder, 3), Checkpointed).lora)
    training = desk.child._training
    mean = training.learner.average.tensors
    path = training.adapter.paths[0]
    keys = [key for key in file if key.endswith("lora_up.weight")]
    ups = {name: value for name, value in mean.items() if name.endswith(".up")}
    assert len(keys) == len(ups)
    wanted = (mean[f"{path}.up"] * 0.25).half()
    assert any(file[key].shape == wanted.shape and torch.equal(file[key], wanted) for key in keys)
    assert not torch.equal(mean[f"{path}.up"], training.adapter.ups[path])
    assert all(float(value) == 2.0 for key, value in file.items() if key.endswith(".alpha"))
