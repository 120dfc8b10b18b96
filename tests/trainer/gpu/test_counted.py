"""The estimates of memory rest on counts: of the published configurations, on the meta device, without a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from storage.domain import space
from storage.domain.adapters import ADAPTED, Layers
from storage.domain.bases import BASES
from storage.domain.caches import ENCODINGS, most_texts
from storage.domain.footprint import FOOTPRINTS
from storage.domain.plan import Concept
from storage.lora_file import metadata_for, write_lora
from tests.builders import CPU_FIT
from trainer.gpu import counted
from trainer.gpu.captions import texts
from trainer.gpu.export import about, named
from trainer.gpu.families import FAMILIES, Base, adapted
from trainer.gpu.families.family import teachable
from trainer.gpu.shapes import full_size
from trainer.settings import POCKET

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


def bare(name: str) -> Any:
    """Full-size networks without weights."""
    parts = full_size(name)
    base: Any = counted._bare(name, next(iter(parts.values())))
    vars(base._pipeline).update(parts, components=parts)
    base.vae_sha256 = base.words_sha256 = ""
    base._speaks_as_worn, base.schedule = False, None
    return base


def weights(base: Base, paths: Sequence[str]) -> list[torch.Tensor]:
    """Of the denoiser's modules, and of text encoders' as `<encoder>.<path>`."""
    known = dict(base.denoiser.named_modules())
    known |= {f"{n}.{path}": m for n, e in base.parts.items() if "text" in n for path, m in e.named_modules()}
    return [known[path].weight for path in paths]


@pytest.fixture(scope="module")
def pocket() -> Base:
    return FAMILIES["pocket"](str(POCKET), CPU_FIT)


@pytest.mark.parametrize("name", sorted(ADAPTED))
def test_a_rank_adds_the_inputs_and_outputs_of_every_adapted_layer(name: str, pocket: Base) -> None:
    base, said = pocket if name == "pocket" else bare(name), ADAPTED[name]
    for targets, layers in said.denoiser.items():
        found = weights(base, base.lora_targets(targets))  # type: ignore[arg-type]
        assert Layers(len(found), sum(w.shape[0] + w[0].numel() for w in found)) == layers
    taught = teachable(base)
    assert (taught is not None) == (said.words is not None)
    for targets, layers in (said.words or {}).items():
        found = weights(base, taught.word_targets(targets))  # type: ignore[union-attr,arg-type]
        assert Layers(len(found), sum(w.shape[0] + w[0].numel() for w in found)) == layers


@pytest.mark.parametrize("name", sorted(ADAPTED))
def test_the_file_has_the_size_that_the_plan_card_says(name: str, pocket: Base, tmp_path: Path) -> None:
    """Really written, with the names of every layer of the full-size base, at one rank."""
    base = pocket if name == "pocket" else bare(name)
    plan = replace(counted.recipe(name), rank=1)
    if ADAPTED[name].words:
        plan = replace(plan, text_encoder_rate=1e-5)
    paths = adapted(base, plan.targets, words=bool(plan.text_encoder_rate))
    pairs = {
        path: (
            torch.zeros(1, *w.shape[1:], dtype=torch.float16),
            torch.zeros(w.shape[0], 1, *(1,) * (w.dim() - 2)).half(),
        )
        for path, w in zip(paths, weights(base, paths), strict=True)
    }
    job = SimpleNamespace(stem="rex-abcdefgh", order_id="abcdefgh", pictures=[])
    task: Any = SimpleNamespace(plan=plan, job=job, fit=CPU_FIT, created_at=datetime.now(UTC), plan_sha256="0" * 64)
    tensors = named(pairs, name)
    write_lora(tmp_path / "lora.safetensors", tensors, metadata_for(about(task, 1, 1), tensors))
    size = (tmp_path / "lora.safetensors").stat().st_size
    assert size == pytest.approx(space.file_bytes(plan), rel=0.06), "at rank 1, where the header counts most"
    assert size <= space.file_bytes(plan)


def test_caches_take_what_is_planned_for_them(pocket: Base, tmp_path: Path) -> None:
    said = ENCODINGS["pocket"]
    words = pocket.encode_texts(["a toy of a toy"])
    assert words.hidden_BLD.nbytes + words.pooled.nbytes == said.text_bytes(4)
    assert pocket.posteriors(torch.zeros(1, 3, 64, 64)).mean_BCHW.nbytes == said.latent_bytes(64)


@pytest.mark.parametrize("prior", ["none", "base_prediction"])
@pytest.mark.parametrize("concepts", [0, 3])
def test_no_run_hears_more_texts_than_are_planned_for(prior: Any, concepts: int) -> None:
    plan = replace(counted.recipe("pocket"), prior=prior, prior_prompts=("a red {class_word}",), caption_shuffle=3)
    words = [Concept(trigger=f"zor{n}", class_word=f"toy{n}", pictures=(f"{n}",)) for n in range(concepts)]
    plan = replace(plan, concepts=tuple(words))
    own = [f"zorvex toy, {n}, red, {n} dots" for n in range(7)]
    assert 30 < len(texts(plan, own)) <= most_texts(plan, len(own)) <= 2 * len(texts(plan, own))
