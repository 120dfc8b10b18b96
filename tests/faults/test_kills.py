"""Kills, in short: one order loses its bot, its supervisor and its GPU child. `make faults` is the long form."""

from __future__ import annotations

from pathlib import Path

from storage.faults import GAPS
from tests.builders import tiny_base
from tests.faults.calm import calm
from tests.faults.kills import DIES, at, series
from tests.faults.trial import Trial


async def test_an_order_outlives_its_bot_its_supervisor_and_its_child(tmp_path: Path) -> None:
    base = tiny_base(tmp_path / "base")
    kills = [at("post-record", 3), at("artifact-row", 1), at("step", 1)]
    async with calm(tmp_path / "calm", base, "calm") as bench:
        await Trial(folder=tmp_path / "storm", base=base, kills=kills).run(bench)


def test_the_long_form_kills_at_every_gap_and_then_at_random_moments_of_all_three() -> None:
    kills = series(20, seed=1, span_s=30)
    assert {k.gap for k in kills if k.gap} == set(GAPS) == set(DIES)
    assert {k.who for k in kills if not k.gap} == {"bot", "supervisor", "child"}
    assert series(20, seed=1, span_s=30) == kills
