"""What `lorasmith bases` says of memory is what the planner of fits says."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.domain.bases import BASES
from storage.domain.footprint import FOOTPRINTS
from storage.domain.rungs import RUNGS, Device, TooSmall, rung_of
from trainer.bases import rows, text
from trainer.fit import fit_for, largest_recipe
from trainer.settings import WorkerSettings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WorkerSettings:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    return WorkerSettings(data_dir=tmp_path)


def test_the_cards_that_are_named_are_those_where_the_planner_finds_a_fit(settings: WorkerSettings) -> None:
    for row in rows(settings):
        if row["base"] not in FOOTPRINTS:
            assert row["gpu_least_gib"] is None
            continue
        plan, least, full = largest_recipe(row["base"]), row["gpu_least_gib"], row["gpu_full_speed_gib"]

        def card(gib: float, main: float | None = None) -> Device:
            return Device(kind="cuda", memory_gib=gib, threads=1, main_gib=main)

        fit_for(plan, card(least, row["main_memory_then_gib"]))
        with pytest.raises(TooSmall):
            fit_for(plan, card(least, row["main_memory_then_gib"] - 1))
        with pytest.raises(TooSmall):
            fit_for(plan, card(least - 1))
        assert rung_of(fit_for(plan, card(full))) == RUNGS[0] != rung_of(fit_for(plan, card(full - 1)))


def test_a_worker_wants_a_gpu_for_every_base_whose_memory_is_planned(settings: WorkerSettings) -> None:
    everything = settings.model_copy(update={"bases": tuple(BASES)})
    assert set(everything.need_gpu) == set(FOOTPRINTS) == set(BASES) - {"pocket"}


def test_people_read_the_least_card_and_the_one_for_full_speed(settings: WorkerSettings) -> None:
    said = text(rows(settings))
    assert "a GPU from 5 GiB on (with 9 GiB of main memory free), full speed from 20 GiB; estimated" in said
    assert "needs    no GPU; it comes with lorasmith" in said
