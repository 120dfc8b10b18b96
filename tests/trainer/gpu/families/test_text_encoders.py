"""Text encoders that learn: in the adapter, the rate, the resume, the file, and in every picture drawn with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline

from storage.domain.contradictions import contradictions
from storage.domain.plan import Plan
from storage.lora_file import read_header
from tests.builders import CPU_FIT, make_job
from tests.tiny_bases import TINY
from tests.trainer.gpu.conftest import Desk
from tests.trainer.gpu.families.conftest import Trained, plan_on
from trainer.events import Checkpointed, Failed, Finished
from trainer.gpu.families import FAMILIES, Teachable, adapted
from trainer.gpu.job import JobRefused
from trainer.gpu.job import read as read_job

TEACHABLE = ("sd15", "sdxl")  # the pocket is of the class of sdxl
KEYS = {"pocket": ("lora_te1_", "lora_te2_"), "sd15": ("lora_te_",), "sdxl": ("lora_te1_", "lora_te2_")}
WORD_RATE = 5e-3
TEXT = "a zorvex toy on grass"


def plan_with_words(name: str, **changed: Any) -> Plan:
    plan = replace(plan_on(name), text_encoder_rate=WORD_RATE, checkpoint_steps=(1, 3), warmup_steps=0)
    return replace(plan, **changed)


@pytest.fixture(scope="module", params=TEACHABLE)
def taught(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    """An order whose text encoders learned."""
    torch.set_num_threads(1)
    name, home = request.param, tmp_path_factory.mktemp(request.param)
    source = TINY[name](home / "base")
    make_job(home / "job", source, pictures=2, plan=plan_with_words(name))
    desk = Desk(home / "told.jsonl")
    told = desk.train(home / "job", 3)
    assert not [event for event in told if isinstance(event, Failed)], told
    yield Trained(name=name, source=source, folder=home / "job", desk=desk, told=told, learned={})
    desk.close()


def lora(folder: Path, step: int = 3) -> Path:
    return folder / "checkpoints" / str(step) / "lora.safetensors"


def words_of(taught: Trained) -> Any:
    return taught.desk.child._training.bench.words  # type: ignore[union-attr]


def test_the_file_names_them_as_tools_do_and_holds_what_moved(taught: Trained) -> None:
    names = read_header(lora(taught.folder)).tensors
    for start in KEYS[taught.name]:
        mine = [name for name in names if name.startswith(start)]
        assert mine
        assert all(name.startswith(f"{start}text_model_encoder_layers_") for name in mine)
    training = taught.desk.child._training
    assert training is not None
    moved = {path: float(up.detach().abs().max()) for path, up in training.adapter.ups.items()}
    assert min(moved.values()) > 0
    assert {path for path in moved if path.startswith("text_encoder")} == set(
        taught.base.word_targets("attention+ff")  # type: ignore[attr-defined]
    )


def test_their_first_step_is_as_long_as_their_own_rate(taught: Trained, tmp_path: Path) -> None:
    """Adam's first step moves every number by the rate (arXiv 1412.6980, section 2.1)."""
    desk = Desk(tmp_path / "told.jsonl")
    make_job(tmp_path / "job", taught.source, pictures=2, plan=plan_with_words(taught.name, weight_decay=0.0))
    desk.train(tmp_path / "job", 1)
    training = desk.child._training
    assert training is not None
    for path, up in training.adapter.ups.items():
        rate = WORD_RATE if path.startswith("text_encoder") else training.plan.learning_rate
        assert float(up.detach().abs().max()) == pytest.approx(rate, rel=0.02), path
    desk.close()


def test_a_stock_pipeline_with_the_file_says_what_we_hear_and_it_is_another_thing(taught: Trained) -> None:
    base, words = taught.base, words_of(taught)
    assert isinstance(base, Teachable)
    base.wear(None)
    plain = words[TEXT]
    base.wear(lora(taught.folder))
    worn = words[TEXT]
    assert not torch.equal(worn.hidden_BLD, plain.hidden_BLD)
    stock = DiffusionPipeline.from_pretrained(taught.source, local_files_only=True)
    stock.load_lora_weights(str(lora(taught.folder).parent), weight_name="lora.safetensors", adapter_name="it")
    said = stock.encode_prompt(prompt=TEXT, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False)
    assert torch.equal(said[0], worn.hidden_BLD)
    base.weigh(0.0)
    assert torch.allclose(words[TEXT].hidden_BLD, plain.hidden_BLD, atol=1e-6)
    base.wear(None)
    assert torch.equal(words[TEXT].hidden_BLD, plain.hidden_BLD)
    assert torch.equal(base.encode_texts([TEXT]).hidden_BLD, plain.hidden_BLD)


def test_what_is_heard_in_training_is_what_the_file_says(taught: Trained) -> None:
    training = taught.desk.child._training
    assert training is not None
    assert training._hear is not None
    with torch.no_grad():
        learned = training._hear([TEXT])
    taught.base.wear(lora(taught.folder))
    worn = taught.base.encode_texts([TEXT])
    taught.base.wear(None)
    assert torch.allclose(learned.hidden_BLD, worn.hidden_BLD, atol=5e-3)  # fp16 in the file
    plain = taught.base.encode_texts([TEXT])
    assert not torch.allclose(learned.hidden_BLD, plain.hidden_BLD, atol=2e-2)


def test_a_run_that_was_stopped_ends_with_the_same_bytes(taught: Trained, tmp_path: Path) -> None:
    make_job(tmp_path, taught.source, pictures=2, plan=plan_with_words(taught.name))
    for until in (2, 3):
        taught.desk.train(tmp_path, until)
        taught.desk.forget()
    assert lora(tmp_path).read_bytes() == lora(taught.folder).read_bytes()
    # the fixture's training again, for whoever comes after
    taught.desk.train(taught.folder, 3)


def test_such_an_order_is_finished(taught: Trained) -> None:
    told = taught.desk.finish(taught.folder, 3, max_bytes=lora(taught.folder).stat().st_size * 2 // 3)
    (done,) = [event for event in told if isinstance(event, Finished)]
    assert (taught.folder / done.files["lora"]).read_bytes() == lora(taught.folder).read_bytes()
    compact = read_header(taught.folder / done.files["compact"]).tensors
    assert any(name.startswith(KEYS[taught.name][0]) for name in compact)
    taught.desk.train(taught.folder, 3)


def test_with_dropout_accumulation_mean_and_prior_they_learn_too(taught: Trained, tmp_path: Path) -> None:
    more = {"lora_dropout": 0.2, "accumulation": 2, "ema_decay": 0.9, "prior": "base_prediction", "prior_share": 1.0}
    make_job(tmp_path, taught.source, pictures=2, plan=plan_with_words(taught.name, **more))
    told = taught.desk.train(tmp_path, 3)
    assert len([event for event in told if isinstance(event, Checkpointed)]) == 2, told
    taught.desk.forget()
    taught.desk.train(taught.folder, 3)


def test_the_layer_that_nobody_hears_is_left_alone(tmp_path: Path) -> None:
    base = FAMILIES["sdxl"](str(TINY["sdxl"](tmp_path)), CPU_FIT)
    paths = adapted(base, "attention", words=True)
    assert "text_encoder.encoder.layers.1.self_attn.q_proj" in paths
    assert not [path for path in paths if path.startswith("text_encoder.encoder.layers.2.")]
    assert "text_encoder_2.text_model.encoder.layers.2.self_attn.q_proj" in paths


def test_bases_without_such_encoders_refuse_by_name(tmp_path: Path) -> None:
    make_job(tmp_path, "nowhere", pictures=2, plan=replace(plan_on("flux1-dev"), text_encoder_rate=1e-4))
    with pytest.raises(JobRefused, match="text_encoder_rate: it belongs to diffusion models"):
        read_job(tmp_path)


def test_prodigy_has_one_rate() -> None:
    plan = replace(plan_on("sd15"), optimizer="prodigy", learning_rate=1.0)
    assert not list(contradictions(replace(plan, text_encoder_rate=1.0)))
    assert [name for name, _ in contradictions(replace(plan, text_encoder_rate=0.5))] == ["text_encoder_rate"]
