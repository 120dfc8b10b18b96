"""The estimates of memory rest on counts: of the published configurations, on the meta device, without a GPU."""

from __future__ import annotations

import pytest

from storage.domain.bases import BASES
from storage.domain.footprint import FOOTPRINTS
from trainer.gpu import counted
from trainer.gpu.shapes import full_size

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.mark.parametrize("name", ["sd15", "sdxl", "flux2-klein-4b"])
def test_what_a_step_keeps_is_what_the_footprint_says(name: str) -> None:
    """Within a tenth: recipes may adapt more layers. Where the peak of the backward pass is higher, that stands there."""
    found, said = counted.counted(name, counted.recipe(name), BASES[name].native_px), FOOTPRINTS[name]
    assert found.bytes("none") / 2**20 == pytest.approx(said.step["none"], rel=0.1)
    assert found.bytes("half") / 2**20 == pytest.approx(said.step["half"], rel=0.1)
    assert found.bytes("all") / 2**20 <= said.step["all"] * 1.1
    assert found.bytes("none") > found.bytes("half") > found.bytes("all")


@pytest.mark.parametrize("name", sorted(FOOTPRINTS))
def test_parameters_are_those_of_the_published_sizes(name: str) -> None:
    parts = full_size(name)
    denoiser = next(iter(parts.values()))
    assert sum(p.numel() for p in denoiser.parameters()) / 1e6 == pytest.approx(FOOTPRINTS[name].denoiser, abs=0.1)


@pytest.mark.parametrize("name", sorted(FOOTPRINTS))
def test_a_rank_adds_the_inputs_and_outputs_of_every_adapted_layer(name: str) -> None:
    denoiser = next(iter(full_size(name).values()))
    base, modules = counted._bare(name, denoiser), dict(denoiser.named_modules())
    for targets, numbers in FOOTPRINTS[name].numbers.items():
        weights = [modules[path].weight for path in base.lora_targets(targets)]  # type: ignore[arg-type]
        assert sum(w.shape[0] + w[0].numel() for w in weights) == numbers  # type: ignore[union-attr,operator]
