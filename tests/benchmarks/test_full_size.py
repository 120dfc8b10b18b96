"""The program for a GPU's first hour runs here on a tiny pipeline; and what it would write is of the published sizes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from storage.domain.bases import BASES
from storage.domain.footprint import FOOTPRINTS
from tests.benchmarks import full_size
from tests.full_size_bases import PIPELINES, pipeline_of, size_bytes
from tests.tiny_bases import ALIKE, TINY


@pytest.mark.parametrize("name", ["sdxl", "flux2-klein-4b"])
def test_random_weights_are_as_many_as_the_published_ones(name: str) -> None:
    sizes = size_bytes(pipeline_of(name))
    assert sum(sizes.values()) / 1e9 == pytest.approx(BASES[name].download_gb, rel=0.05)
    assert max(sizes.values()) > 5e9
    texts = sum(count for part, count in sizes.items() if part.startswith("text_encoder"))
    assert texts / 2e6 == pytest.approx(FOOTPRINTS[name].encoders, rel=0.001)


def test_every_base_has_a_pipeline_of_full_size_and_a_tiny_one() -> None:
    assert set(FOOTPRINTS) == set(PIPELINES) == {*TINY, *ALIKE} - {"pocket"}


def test_an_order_is_killed_resumed_drawn_exported_and_worn_and_its_row_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    full_size.main(["--tiny", "--base", "sdxl", "--folder", str(tmp_path)])
    *_, row = capsys.readouterr().out.splitlines()
    cells = dict(zip(full_size.HEADS, row.strip("| ").split(" | "), strict=True))
    assert (cells["base"], cells["px"], cells["rung"], cells["departures"]) == ("sdxl", "32", "all recomputed", "none")
    assert int(cells["keys"]) == 3 * int(cells["modules worn"]) > 0
    assert float(cells["s a step"]) > 0
    assert row in (tmp_path / "sdxl.md").read_text()


@pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without a GPU")
def test_without_a_gpu_it_says_so_and_fails(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="There is no CUDA GPU here"):
        full_size.main(["--base", "sdxl", "--folder", str(tmp_path)])
    assert not list(tmp_path.iterdir())
