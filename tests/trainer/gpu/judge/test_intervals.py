"""Intervals over prompts: the same every time, as wide as prompts differ, and around what is measured."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import normalize

from trainer.gpu.judge import intervals
from trainer.gpu.judge.sight import spread


def pictures(rows: int, seeds: int) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(3)
    return [normalize(torch.randn(seeds, 8, generator=draw), dim=-1) for _ in range(rows)]


def test_resamples_are_always_the_same_and_take_as_many_prompts_as_there_are() -> None:
    intervals.resamples.cache_clear()
    once = intervals.resamples(5)
    intervals.resamples.cache_clear()
    assert torch.equal(once, intervals.resamples(5))
    assert once.sum(dim=1).unique().tolist() == [5.0]
    assert once.mean(dim=0).tolist() == pytest.approx([1.0] * 5, abs=0.1)


def test_an_interval_is_as_wide_as_prompts_differ() -> None:
    alike, apart = intervals.of_mean([0.5] * 6), intervals.of_mean([0.2, 0.9, 0.1, 0.8, 0.3, 0.7])
    assert alike == (0.5, 0.5)
    assert apart is not None
    assert 0.2 < apart[0] < 0.5 < apart[1] < 0.8
    values = [0.2, 0.9, 0.1, 0.8, 0.3, 0.7]
    wanted = 1.96 * torch.tensor(values).std(correction=0) / 6**0.5  # what a normal interval of the resampled mean is
    assert (apart[1] - apart[0]) / 2 == pytest.approx(float(wanted), rel=0.15)


def test_one_prompt_says_nothing_of_others() -> None:
    assert intervals.of_mean([0.5]) is None
    assert intervals.of_ratio([], [], 0.05) is None
    assert intervals.of_most([1.0]) is None
    assert intervals.of_groups([{0: 0.5}]) is None
    assert intervals.of_spreads(pictures(1, 2), pictures(1, 2), 0.05) is None


def test_a_numbers_interval_holds_the_number() -> None:
    moved, between = [0.1, 0.3, 0.2, 0.4], [0.5, 0.6, 0.4, 0.5]
    ratio = intervals.of_ratio(moved, between, 0.05)
    most = intervals.of_most(moved)
    assert ratio is not None
    assert most is not None
    assert ratio[0] < sum(moved) / sum(between) < ratio[1]
    assert most[0] < most[1] == 0.4
    assert intervals.of_most([0.1, float("inf")]) is None


def test_the_interval_of_variety_is_around_variety_and_none_where_nothing_differs() -> None:
    drawn, base = pictures(4, 2), pictures(5, 2)[1:]
    found = intervals.of_spreads(drawn, base, 0.05)
    assert found is not None
    assert found[0] < spread(torch.cat(drawn)) / spread(torch.cat(base)) < found[1]
    assert intervals.of_spreads(base, base, 0.05) == (1.0, 1.0)


def test_a_concept_that_a_resample_missed_is_left_out_of_it() -> None:
    both = intervals.of_groups([{0: 0.2, 1: 0.2}, {2: 0.8}])
    assert both is not None
    assert both[0] == 0.2, "some resamples show the first concept alone"
    assert both[1] <= 0.8
