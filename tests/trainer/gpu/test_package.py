"""What is handed over says the words that were trained, names the base as people have it, and its compact version stands alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from storage.domain.orders import SubjectType, prompt_with
from storage.domain.recipes import plan_for
from storage.lora_file import read_header
from storage.lora_file.architectures import architecture_named
from storage.lora_file.sidecar import sidecar
from tests.builders import CPU_FIT, tiny_plan
from trainer.events import Failed, Finished
from trainer.gpu import export
from trainer.gpu.adapter import Delivered
from trainer.gpu.compact import CannotShrink, keeping, shrunk, write_compact
from trainer.gpu.job import read as read_job

Job = Callable[..., Path]


@pytest.fixture
def swept(desk: Any, job: Job, one: Any) -> tuple[Path, Finished, Any]:
    """A style, trained for two steps and finished with a compact version."""
    plan = replace(tiny_plan(6, 2), subject_type=SubjectType.STYLE, class_word="picture", rank=4, learning_rate=5e-3)
    folder = job(plan=plan)
    desk.train(folder, 2)
    whole = (folder / "checkpoints/2/lora.safetensors").stat().st_size
    return folder, one(desk.finish(folder, 2, max_bytes=whole * 2 // 3), Finished), desk


def test_a_style_is_called_everywhere_by_the_words_that_it_was_trained_with(swept: tuple[Path, Finished, Any]) -> None:
    folder, done, _ = swept
    words = "zorvex style"
    captions = plan_for(
        base="sdxl",
        subject_type=SubjectType.STYLE,
        class_word="picture",
        trigger="zorvex",
        seed=1,
        pictures=[],
    ).captions
    assert all(words in caption.format(trigger="zorvex", class_word="picture") for caption in captions)
    assert prompt_with(trigger="zorvex", class_word="picture", subject_type="style") == words
    for role in ("lora", "compact"):
        header = read_header(folder / done.files[role]).metadata
        assert header["modelspec.trigger_phrase"] == words
        assert list(json.loads(header["ss_tag_frequency"]).values()) == [{words: 5}]
    notes = json.loads((folder / done.files["sidecar"]).read_text())
    assert notes["activation text"] == words
    assert sidecar(export.about(read_job(folder), 2, 4))["activation text"] == words


def test_the_header_counts_what_was_trained_on_and_names_licence_and_precision(
    job: Job,
) -> None:
    folder = job()
    header = export.about(read_job(folder), 2, 2)
    assert header.pictures == 5, "six, of which one is held out"
    assert header.precision == "no"
    assert "MIT" in header.licence
    half = job("half", fit=replace(CPU_FIT, device="cuda", precision="bf16"))
    assert export.about(read_job(half), 2, 2).precision == "bf16"
    big = job("big", plan=replace(tiny_plan(), base="sdxl"))
    assert "CreativeML Open RAIL++-M" in export.about(read_job(big), 2, 2).licence


def test_the_previews_workflow_loads_the_base_by_the_name_that_it_is_published_under(
    swept: tuple[Path, Finished, Any],
) -> None:
    folder, done, _ = swept
    with Image.open(folder / done.files["preview"]) as picture:
        graph, parameters = json.loads(picture.info["prompt"]), picture.info["parameters"]
    loader = next(node for node in graph.values() if node["class_type"] == "CheckpointLoaderSimple")
    assert loader["inputs"]["ckpt_name"] == architecture_named("pocket").checkpoint == "lorasmith_pocket_v1.safetensors"
    assert architecture_named("sdxl").checkpoint == "sd_xl_base_1.0.safetensors"
    assert "Model: lorasmith_pocket_v1," in parameters


def test_a_compact_file_tells_its_own_rank_and_the_measured_strength(swept: tuple[Path, Finished, Any]) -> None:
    folder, done, _ = swept
    header = read_header(folder / done.files["compact"])
    ranks = {entry.shape[0] for name, entry in header.tensors.items() if name.endswith("lora_down.weight")}
    assert {header.metadata["ss_network_dim"]} == {str(rank) for rank in ranks}
    assert float(header.metadata["ss_network_alpha"]) == ranks.pop() < 4
    weight = json.loads((folder / done.files["sidecar"]).read_text())["preferred weight"]
    assert round(float(header.metadata["lorasmith.recommended_scale"]), 2) == weight


def test_a_voted_order_is_handed_over_whole_where_it_cannot_be_made_small_enough(
    swept: tuple[Path, Finished, Any], one: Any
) -> None:
    folder, _, desk = swept
    told = desk.finish(folder, 2, max_bytes=2000)
    assert not [event for event in told if isinstance(event, Failed)]
    done = one(told, Finished)
    assert "compact" not in done.files
    assert done.compact_loss is None
    assert (folder / done.files["lora"]).is_file()


def test_the_rank_of_a_compact_file_is_the_largest_that_fits_beside_a_header_of_sdxls_size(
    job: Job, tmp_path: Path
) -> None:
    """2000 modules with names like SDXL's: the header alone is far above 64 KiB."""
    generator = torch.Generator().manual_seed(3)
    pairs = {
        f"down_blocks.2.attentions.1.transformer_blocks.{n}.attn2.to_out.0": (
            torch.randn(8, 12, generator=generator).half(),
            torch.randn(20, 8, generator=generator).half(),
        )
        for n in range(2000)
    }
    about = export.about(read_job(job()), 2, 8)
    whole, small = tmp_path / "whole.safetensors", tmp_path / "small.safetensors"
    export.write(whole, pairs, about)
    header_bytes = read_header(whole).data_start
    assert header_bytes > 400_000
    a_rank = 2 * (12 + 20) * len(pairs)
    limit = header_bytes + 5 * a_rank
    compact = write_compact(small, pairs, lambda rank: replace(about, rank=rank), limit, header_bytes=header_bytes)
    assert compact.rank == 4
    assert limit - a_rank < small.stat().st_size <= limit
    with pytest.raises(CannotShrink):
        write_compact(small, pairs, lambda _: about, header_bytes, header_bytes=header_bytes)


def decaying(rank: int) -> Delivered:
    """Two modules whose singular values are 1, 1/2, 1/4 ..., in 12 x 20 and in 3 x 3 kernels."""
    generator, values = torch.Generator().manual_seed(4), 0.5 ** torch.arange(rank, dtype=torch.float64)
    downs, ups = {}, {}
    for path, inner in (("a", (12,)), ("b", (12, 3, 3))):
        size = 12 * (9 if len(inner) > 1 else 1)
        right, _ = torch.linalg.qr(torch.randn(size, rank, generator=generator, dtype=torch.float64))
        left, _ = torch.linalg.qr(torch.randn(20, rank, generator=generator, dtype=torch.float64))
        downs[path] = right.T.float().reshape(rank, *inner)
        ups[path] = (left * values).float().reshape(20, rank, *(1,) * (len(inner) - 1))
    return Delivered(rank=rank, downs=downs, ups=ups)


@pytest.mark.parametrize(("share", "rank"), [(0.7, 1), (0.9, 2), (0.98, 3), (0.99, 4)])
def test_the_rank_is_the_smallest_that_keeps_the_energy_and_the_loss_is_that_of_eckart_and_young(
    share: float, rank: int
) -> None:
    whole = decaying(8)
    cut, lost = keeping(whole, share)
    assert cut.rank == rank
    assert lost == pytest.approx((0.25**rank - 0.25**8) / (1 - 0.25**8), rel=1e-4)
    for path in ("a", "b"):
        before, after = (export.product(w.downs[path], w.ups[path]) for w in (whole, cut))
        assert float((before - after).square().sum() / before.square().sum()) == pytest.approx(lost, rel=1e-4)
        assert cut.downs[path].shape[1:] == whole.downs[path].shape[1:]


def test_an_order_that_keeps_less_energy_delivers_a_smaller_rank_and_says_what_was_lost(
    desk: Any, job: Job, one: Any
) -> None:
    plan = replace(tiny_plan(6, 2), rank=16, learning_rate=5e-3, kept_energy=0.7)
    folder = job(plan=plan)
    desk.train(folder, 2)
    done = one(desk.finish(folder, 2), Finished)
    header = read_header(folder / done.files["lora"])
    rank = int(header.metadata["ss_network_dim"])
    assert 1 <= rank < 16
    assert float(header.metadata["ss_network_alpha"]) == rank
    assert 0.0 < float(header.metadata["lorasmith.energy_lost"]) <= 0.3
    ranks = {entry.shape[0] for name, entry in header.tensors.items() if name.endswith("lora_down.weight")}
    assert ranks == {rank}


@pytest.mark.parametrize("dtype", ["fp16", "bf16", "fp32"])
def test_a_compact_file_has_the_plans_type_of_numbers(dtype: str) -> None:
    whole = decaying(8)
    pairs = export.cast(whole.downs, whole.ups, dtype)
    small = shrunk(pairs, 4000, header_bytes=100, dtype=dtype)
    assert {t.dtype for pair in small.pairs.values() for t in pair} == {export.DTYPES[dtype]}
    numbers = sum(t.numel() for pair in small.pairs.values() for t in pair)
    assert numbers * export.DTYPES[dtype].itemsize <= 4000 - 100
    assert small.rank == {"fp16": 8, "bf16": 8, "fp32": 4}[dtype]
