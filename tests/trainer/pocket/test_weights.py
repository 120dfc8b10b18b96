"""The weights that ship: within their sizes, stock, and able to draw what they are asked (a short form of the gates)."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from transformers import CLIPModel

from trainer.pocket import WEIGHTS
from trainer.pocket.architecture import build_tokenizer, load_pipeline
from trainer.pocket.clip import zero_shot
from trainer.pocket.export import CLOCKED, basis_of_vae, check_sizes, read_clocks, snapshots_from_export, write_clocks
from trainer.pocket.gates import (
    centred_questions,
    draw_prompts,
    drawn_pairs,
    drawn_scenes,
    oracle_rows,
    pair_rows,
    photo_rows,
    photographs,
    wide_questions,
)
from trainer.pocket.oracle import load_oracle
from trainer.pocket.snapshots import load_snapshot, save_snapshot

# diffusers' Euler scheduler makes numpy arrays of tensors the old way
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def pipeline() -> StableDiffusionXLPipeline:
    return load_pipeline(WEIGHTS)


def test_one_file_a_component_none_over_15_mib_all_under_40_mb() -> None:
    check_sizes(WEIGHTS)
    for part in ("unet", "vae", "text_encoder", "text_encoder_2", "judge", "oracle", "pairs"):
        assert len(list((WEIGHTS / part).glob("*.safetensors"))) == 1
    assert not [path for path in WEIGHTS.rglob("*") if path.suffix in {".bin", ".pt", ".ckpt", ".pkl"}]


def test_too_large_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(16 * 2**20))
    with pytest.raises(ValueError, match="more than 15 MiB"):
        check_sizes(tmp_path)


def test_model_card_and_licence_travel_along() -> None:
    assert (WEIGHTS / "README.md").read_text().startswith("---\nlicense: mit")
    assert "MIT License" in (WEIGHTS / "LICENSE").read_text()


def test_the_shipped_tokenizer_is_the_one_the_code_builds() -> None:
    shipped = json.loads((WEIGHTS / "tokenizer" / "tokenizer.json").read_text())["model"]
    built = json.loads(build_tokenizer().backend_tokenizer.to_str())["model"]
    assert shipped["vocab"] == built["vocab"]
    assert shipped["merges"] == built["merges"]


@torch.no_grad()
def test_the_encoder_survived_half_precision(pipeline: StableDiffusionXLPipeline) -> None:
    noise = torch.rand(2, 3, 64, 64, generator=torch.manual_seed(0)) * 2 - 1
    exact = basis_of_vae(pipeline.vae).encode(noise)
    assert (pipeline.vae.encode(noise).latent_dist.mean - exact).abs().max() < 0.03


def test_samples_show_what_their_prompts_ask(pipeline: StableDiffusionXLPipeline) -> None:
    questions = [*centred_questions(24), *wide_questions(8)]
    pictures = draw_prompts(pipeline, [question.text for question in questions], first_seed=7)
    answers = np.array([question.answers for question in questions])
    rows = oracle_rows(load_oracle(WEIGHTS / "oracle"), pictures, answers, "short", (0.75, 0.85, 0.85))
    assert [row.line() for row in rows if not row.passed] == []


def test_the_judge_names_most_classes_and_the_oracle_nearly_all() -> None:
    pictures, labels = drawn_scenes(150)
    clip = CLIPModel.from_pretrained(WEIGHTS / "judge", dtype=torch.float32, local_files_only=True)
    assert zero_shot(clip, build_tokenizer(), pictures, torch.from_numpy(labels)).class_word > 0.75
    assert (load_oracle(WEIGHTS / "oracle").answers(pictures) == labels).mean(axis=0).min() > 0.9


def test_the_reader_of_pairs_names_both_things_of_drawn_scenes() -> None:
    rows = pair_rows(load_oracle(WEIGHTS / "pairs"), *drawn_pairs(150), "short", 0.88)
    assert [row.line() for row in rows if not row.passed] == []


def test_photographs_come_back_from_the_autoencoder(pipeline: StableDiffusionXLPipeline, photos: Path) -> None:
    assert [row.line() for row in photo_rows(pipeline, photographs(photos)) if not row.passed] == []


def test_a_run_can_go_on_from_the_shipped_folder(pipeline: StableDiffusionXLPipeline, tmp_path: Path) -> None:
    snapshots_from_export(WEIGHTS, tmp_path)
    tensors, numbers = load_snapshot(tmp_path / "unet.safetensors")
    first = next(iter(pipeline.unet.parameters()))
    assert torch.equal(tensors["owner/0"], first)
    assert numbers == read_clocks(WEIGHTS)["unet"]
    assert numbers["samples"] > 100_000, "it goes on behind the shipped samples, not at the curriculum's start"
    for stage in ("vae", "clip"):
        assert load_snapshot(tmp_path / f"{stage}.safetensors")[1]["elapsed_s"] > 60
    assert {path.name for path in tmp_path.iterdir()} == {f"{n}.safetensors" for n in ("basis", "clip", "vae", "unet")}


def test_an_export_says_how_far_its_run_had_come_and_an_older_one_is_taken_as_new(tmp_path: Path) -> None:
    clocks = {stage: {"elapsed_s": 60.5 + n, "step": 7 * n, "samples": 70 * n} for n, stage in enumerate(CLOCKED)}
    for stage, numbers in clocks.items():
        save_snapshot(tmp_path / f"{stage}.safetensors", {"x": torch.ones(1)}, numbers)
    write_clocks(tmp_path, tmp_path)
    assert read_clocks(tmp_path) == clocks
    assert read_clocks(tmp_path / "older")["unet"] == {"elapsed_s": 0.0, "step": 0, "samples": 0}
