"""The short form of `make bench-fairness`: communities of unequal greed on the real queue, within the bounds that are derived."""

from __future__ import annotations

import numpy as np
import pytest

from storage.database import Database
from tests.benchmarks.crowds import Pick, unequal
from tests.benchmarks.fairness import first_waits, report, trial
from tests.benchmarks.shares import measure


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_day_of_unequal_communities_stays_within_the_bounds(database: Database) -> None:
    day, fair = trial(database, unequal(8), orders=16, workers=2, learned_after=12)
    assert sum(day.ended.values()) == 16
    assert "bounds kept: yes" in report(day, fair)
    assert fair.served_s.sum() > 0
    waits, _ = first_waits(day)
    assert (waits <= 2 * fair.bounds.longest_s).all()


def given(*communities: int) -> list[Pick]:
    """Turns of 100 s to these communities, while 0 and 1 both wait."""
    both = frozenset({0, 1})
    return [
        Pick(at=100.0 * n, community=c, estimate_s=100, gpu_s=100, waiting=both, broken=frozenset())
        for n, c in enumerate(communities)
    ]


def test_the_measure_sees_a_queue_that_serves_whoever_came_first() -> None:
    """A that queued twenty pieces before B came is served first: five times the bound; in turns it is within."""
    weights = np.ones(2)
    blocks = measure(given(*[0] * 20, *[1] * 20), weights, workers=1)
    assert (blocks.apart_s / blocks.bounds.pairs(weights)).max() == 5.0
    assert (blocks.behind_s > blocks.bounds.behind(weights)).any()
    turns = measure(given(*[0, 1] * 20), weights, workers=1)
    assert (turns.apart_s <= turns.bounds.pairs(weights) / 4).all()
    assert turns.served_s.tolist() == [2000, 2000]


def test_a_stretch_in_which_one_had_nothing_waiting_is_not_held_against_the_queue() -> None:
    picks = given(*[0] * 20)
    alone = [Pick(**{**vars(p), "waiting": frozenset({0}), "broken": frozenset({1})}) for p in picks]
    fair = measure([*given(1), *alone, *given(1)], np.ones(2), workers=1)
    assert fair.apart_s.max() == 100.0
