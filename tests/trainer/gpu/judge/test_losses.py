"""How sure validation is, and what follows from that."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from trainer.gpu.judge import losses
from trainer.gpu.judge.strata import STRATA

BASE = torch.linspace(0.9, 0.1, STRATA, dtype=torch.float64)[None, :, None].expand(6, -1, 2)


def noisy(pictures: int, *, of_picture: float, of_draw: float) -> Tensor:
    draw = torch.Generator().manual_seed(5)
    own = of_picture * torch.randn(pictures, 1, 1, generator=draw, dtype=torch.float64)
    return own + of_draw * torch.randn(pictures, STRATA, 2, generator=draw, dtype=torch.float64)


def test_the_error_is_the_pictures_where_they_differ_and_the_draws_where_those_do() -> None:
    assert losses.error(noisy(400, of_picture=0.1, of_draw=0.1)) == pytest.approx(0.1 / 20, rel=0.15)
    assert losses.error(noisy(400, of_picture=0.0, of_draw=0.1)) == pytest.approx(0.1 / (400 * 16) ** 0.5, rel=0.15)
    assert losses.error(noisy(1, of_picture=0.1, of_draw=0.1)) == pytest.approx(0.1 / 4, rel=0.4)
    assert losses.error(torch.zeros(0, STRATA, 2)) is None


def test_the_error_of_a_ratio_is_paired_with_the_base() -> None:
    harder = BASE * torch.tensor([0.5, 1.0, 1.5, 0.7, 1.3, 1.0], dtype=torch.float64)[:, None, None]
    assert losses.ratio_error(harder, harder) == 0.0
    assert losses.ratio(0.8 * harder, harder) == pytest.approx(0.8)
    better = losses.ratio_error(0.8 * harder, harder)
    assert better is not None
    alone = losses.error(losses.relative(0.8 * harder, harder))
    assert alone is not None
    assert 0.0 < better < 0.3 * alone


def test_the_gap_shows_at_which_noise_training_pictures_are_known_by_heart() -> None:
    learned = BASE.clone()
    learned[:, -2:] *= 0.5
    assert losses.by_stratum(learned, BASE) == pytest.approx([1.0] * 6 + [0.5] * 2)


def test_a_sure_rise_costs_in_full_and_one_within_its_doubt_hardly_anything() -> None:
    lowest = (0.8,) * 32
    sure = tuple(0.9 + 0.001 * (k % 3) for k in range(32))
    doubtful = tuple(0.801 + 0.3 * (-1) ** (k // 2) for k in range(32))
    assert losses.kept(sure, {50: lowest}) == pytest.approx(0.8 / 0.9, abs=0.002)
    assert losses.kept(doubtful, {50: lowest}) > 0.9999
    assert losses.kept(lowest, {50: sure}) == 1.0
    assert losses.kept(lowest, {}) == 1.0
    assert losses.kept((0.9,) * 16, {50: lowest}) == 1.0, "other draws do not compare"
