"""How many entries of a training's log are kept."""

from __future__ import annotations

from itertools import pairwise

import pytest

from storage.domain.training_log import EVERY, MOST, is_kept


@pytest.mark.parametrize("steps", [100, 10_000, 10_010, 25_000, 100_000])
def test_every_entry_of_a_usual_training_is_kept_and_never_more_than_a_thousand(steps: int) -> None:
    kept = [step for step in range(EVERY, steps + 1, EVERY) if is_kept(step, steps)]
    assert MOST / 2 - 1 <= len(kept) <= MOST or len(kept) == steps // EVERY <= MOST
    assert len({b - a for a, b in pairwise(kept)}) == 1
