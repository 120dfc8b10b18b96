"""The table of stages: the whole life of an order, checked as a graph."""

from __future__ import annotations

import pytest

from storage.domain.errors import IllegalMove
from storage.domain.lifecycle import BUSY, OPEN, TABLE, Mover, Stage, check_move

ENDS = {Stage.DELIVERED, Stage.CANCELLED, Stage.EXPIRED}


def reachable(start: Stage) -> set[Stage]:
    found, look = {start}, [start]
    while look:
        new = TABLE[look.pop()].next - found
        found |= new
        look += new
    return found


def test_every_stage_has_its_row_and_can_be_reached_from_a_draft() -> None:
    assert set(TABLE) == set(Stage)
    assert all(row.stage is stage for stage, row in TABLE.items())
    assert reachable(Stage.DRAFT) == set(Stage)


def test_every_stage_can_still_end_and_only_ends_have_nobody_to_move_them() -> None:
    for stage, row in TABLE.items():
        assert reachable(stage) & ENDS
        assert (row.mover is Mover.NOBODY) == (not row.next) == (stage in ENDS)
        assert row.sight


def test_everything_that_is_open_can_be_cancelled_and_all_but_a_draft_can_fail() -> None:
    for stage in OPEN:
        check_move(stage, Stage.CANCELLED)
        assert (Stage.FAILED in TABLE[stage].next) == (stage is not Stage.DRAFT)
    check_move(Stage.FAILED, Stage.QUEUED)


def test_busy_is_what_uses_the_gpu_before_the_vote() -> None:
    assert {Stage.QUEUED, Stage.TRAINING} == BUSY
    assert BUSY < OPEN


@pytest.mark.parametrize(
    ("now", "then"),
    [
        (Stage.DRAFT, Stage.TRAINING),
        (Stage.DELIVERED, Stage.QUEUED),
        (Stage.VOTING, Stage.DELIVERING),
        (Stage.CANCELLED, Stage.QUEUED),
        (Stage.DRAFT, Stage.DRAFT),
    ],
)
def test_a_move_without_an_arrow_is_an_error_that_names_both(now: Stage, then: Stage) -> None:
    with pytest.raises(IllegalMove, match=f"{now.value}.*{then.value}"):
        check_move(now, then)
