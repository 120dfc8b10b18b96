"""The program that measures each rung on a GPU (`tests/benchmarks/rungs.py`), on shrunken denoisers where there is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
import torch
from torch import nn

from storage.domain.footprint import FOOTPRINTS
from storage.domain.rungs import RUNGS
from tests.benchmarks import rungs
from trainer.fit import largest_recipe
from trainer.gpu import shapes
from trainer.gpu.shapes import FLUX2_KLEIN_4B, SDXL_UNET, Flux2Transformer2DModel, UNet2DConditionModel

SHRUNKEN: Mapping[str, Callable[[], nn.Module]] = {
    "sdxl": lambda: UNet2DConditionModel(
        **{
            **SDXL_UNET,
            "block_out_channels": (32, 32, 64),
            "transformer_layers_per_block": [1, 1, 1],
            "attention_head_dim": [2, 2, 2],
        }
    ),
    "flux2-klein-4b": lambda: Flux2Transformer2DModel(
        **{**FLUX2_KLEIN_4B, "num_layers": 1, "num_single_layers": 2, "num_attention_heads": 1}
    ),
}
"""A UNet and a transformer, as deep as they have kinds of blocks."""


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    def shrunken(name: str) -> dict[str, nn.Module]:
        with torch.device("meta"):
            return {next(iter(shapes._MODELS[name])): SHRUNKEN[name]()}

    monkeypatch.setattr(rungs, "full_size", shrunken)
    monkeypatch.setattr(rungs, "largest_recipe", lambda name: replace(largest_recipe(name), rank=1))
    monkeypatch.setattr(rungs, "free", lambda: None)
    monkeypatch.setitem(rungs.VAE, "block_out_channels", (32, 32, 32, 32))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", sorted(SHRUNKEN))
def test_every_rung_that_needs_no_cuda_learns_draws_and_encodes(name: str) -> None:
    lines = rungs.compared(name, "cpu", 64, 1, None)
    assert "no GPU: not measured" in lines[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[4:]]
    assert {row[0] for row in rows} == set(RUNGS) - {"8-bit base", "4-bit base"}
    for row in rows:
        assert row[2:5] == ["not measured"] * 3, "the CPU's memory is no GPU's"
        assert float(row[5]) > 0


def test_without_cuda_it_says_so_in_one_sentence_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        rungs.main(["--base", "sdxl"])
    assert ended.value.code == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert said == [
        "rungs: PyTorch finds no CUDA GPU here, so there is nothing to measure; --device cpu runs the same code without measuring"
    ]


def test_the_estimates_are_of_every_base(capsys: pytest.CaptureFixture[str]) -> None:
    rungs.main([])
    said = capsys.readouterr().out
    assert all(f"| {name} | " in said for name in FOOTPRINTS)
