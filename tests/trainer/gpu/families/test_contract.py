"""What every base has to do: the whole journey of an order, and each noun of the Protocol."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from peft.tuners.lora import LoraLayer
from PIL import Image
from torch import nn

from storage.domain.measurement import Measurement
from tests.builders import CPU_FIT, drawn_pictures, make_job
from tests.tiny_bases import TINY
from tests.trainer.gpu.conftest import Desk
from tests.trainer.gpu.families.conftest import STEPS, Trained, plan_on
from trainer.events import Checkpointed, Failed, Finished
from trainer.events import Trained as TrainedEvent
from trainer.gpu.adapter import attach
from trainer.gpu.families import FAMILIES, Base, Drawing, Targets, stacked
from trainer.gpu.job import JobRefused
from trainer.gpu.job import read as read_job
from trainer.gpu.pictures import Framing, Shape, pixels

PX = 32
PRESETS: tuple[Targets, ...] = ("attention", "attention+ff", "attention+ff+conv")
CONVOLUTIONAL = ("pocket", "sd15", "sdxl")
"""Bases whose denoiser has convolutions to adapt."""


def marks(told: list[Any]) -> list[Checkpointed]:
    failures = [event for event in told if isinstance(event, Failed)]
    assert not failures, failures
    return [event for event in told if isinstance(event, Checkpointed)]


def lora(folder: Path, step: int = STEPS) -> Path:
    return folder / "checkpoints" / str(step) / "lora.safetensors"


def noisy_pair(base: Base) -> dict[str, Any]:
    """Arguments of `predict` for two pictures under different texts at different times."""
    pictures = torch.stack([pixels(p.resize((PX, PX))) for p in drawn_pictures(2)])
    latents = base.posteriors(pictures).mean_BCHW
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(3))
    t = torch.tensor([100, 700])
    return {
        "noisy_BCHW": base.schedule.noisy(latents, noise, t),
        "t_B": t,
        "words": stacked([base.encode_texts(["a zorvex toy on green grass"]), base.encode_texts(["a toy"])]),
        "framing": (Framing(original=(PX, PX), shape=Shape(height=PX, width=PX)),) * 2,
    }


def test_an_order_is_trained_drawn_measured_and_finished(trained: Trained) -> None:
    first, last = marks(trained.told)
    assert (first.step, last.step) == (STEPS - 1, STEPS)
    measured = Measurement.from_json(last.measurement)
    assert measured.training_ratio is not None
    assert measured.training_ratio != pytest.approx(1.0, abs=1e-4)
    assert isinstance(trained.told[-1], TrainedEvent)
    done = [e for e in trained.desk.finish(trained.folder, STEPS) if isinstance(e, Finished)]
    assert len(done) == 1
    assert (trained.folder / done[0].files["lora"]).read_bytes() == lora(trained.folder).read_bytes()


def test_previews_of_the_file_differ_from_the_bases(trained: Trained) -> None:
    for mark in marks(trained.told):
        drawn = {(p.row, p.seed, p.base): Image.open(trained.folder / p.file).tobytes() for p in mark.previews}
        assert len(set(drawn.values())) == len(drawn)


def test_a_stock_pipeline_loads_every_module_of_the_file_bit_for_bit(trained: Trained) -> None:
    kept = trained.learned
    stock = diffusers.DiffusionPipeline.from_pretrained(trained.source, local_files_only=True)
    stock.load_lora_weights(str(lora(trained.folder).parent), weight_name="lora.safetensors", adapter_name="it")
    denoiser = stock.unet if hasattr(stock, "unet") else stock.transformer
    layers = {path: layer for path, layer in denoiser.named_modules() if isinstance(layer, LoraLayer)}
    assert layers.keys() == kept.keys()
    for path, (down, up) in kept.items():
        assert torch.equal(layers[path].lora_A["it"].weight, down.float()), path
        assert torch.equal(layers[path].lora_B["it"].weight, up.float()), path
        assert layers[path].scaling["it"] == 1.0
        assert float(up.abs().max()) > 0, path


def test_a_run_that_was_stopped_ends_with_the_same_bytes(trained: Trained, tmp_path: Path) -> None:
    make_job(tmp_path, trained.source, pictures=2, plan=plan_on(trained.name))
    for until in (1, STEPS):
        trained.desk.train(tmp_path, until)
        trained.desk.forget()
    for step in (STEPS - 1, STEPS):
        assert lora(tmp_path, step).read_bytes() == lora(trained.folder, step).read_bytes()


def test_presets_grow_and_one_that_is_not_there_is_refused_by_name(trained: Trained) -> None:
    had: set[str] = set()
    for preset in PRESETS:
        if preset == "attention+ff+conv" and trained.name not in CONVOLUTIONAL:
            with pytest.raises(ValueError, match=r"'attention\+ff\+conv'; it has: attention, attention\+ff$"):
                trained.base.lora_targets(preset)
            continue
        now = set(trained.base.lora_targets(preset))
        assert had < now
        modules = dict(trained.base.denoiser.named_modules())
        assert all(isinstance(modules[path], nn.Linear | nn.Conv2d) for path in now)
        had = now


def test_training_leaves_the_drawing_base_as_it_was(trained: Trained, loaded: Base) -> None:
    fresh = loaded.denoiser.state_dict()
    mine = trained.base.denoiser.state_dict()
    assert fresh.keys() == mine.keys()
    assert all(torch.equal(fresh[name], mine[name]) for name in fresh)


def test_a_batch_says_what_its_members_say_alone(loaded: Base) -> None:
    pair = noisy_pair(loaded)
    with torch.no_grad():
        both = loaded.predict(loaded.denoiser, **pair)
        texts = [loaded.encode_texts([text]) for text in ("a zorvex toy on green grass", "a toy")]
        for at, words in enumerate(texts):
            alone = {key: value[at : at + 1] for key, value in pair.items() if key != "words"}
            assert torch.allclose(loaded.predict(loaded.denoiser, **alone, words=words), both[at : at + 1], atol=1e-4)


def test_checkpointed_gradients_are_the_same(loaded: Base) -> None:
    pair = noisy_pair(loaded)
    found = []
    for saving in (False, True):
        denoiser = loaded.trainee()
        adapter = attach(denoiser, loaded.lora_targets("attention"), plan_on("pocket"))
        with torch.no_grad():
            for up in adapter.ups.values():
                up.fill_(0.01)
        if saving:
            denoiser.train()
            denoiser.enable_gradient_checkpointing()  # type: ignore[operator]
        torch.autograd.backward(loaded.predict(denoiser, **pair).square().mean())
        found.append([p.grad for p in adapter.parameters.values()])
    for plain, saved in zip(*found, strict=True):
        assert plain is not None
        assert saved is not None
        assert torch.allclose(plain, saved, atol=1e-6 + 1e-4 * float(plain.abs().max()))
    assert any(float(g.abs().max()) > 0 for g in found[0])


def test_in_bf16_it_learns_draws_and_says_nearly_the_same(trained: Trained, loaded: Base) -> None:
    """As on a GPU: a wrong dtype anywhere raises."""
    half = FAMILIES[trained.name](str(trained.source), replace(CPU_FIT, precision="bf16"))
    pair, words = noisy_pair(loaded), half.encode_texts(["a zorvex toy"])
    with torch.no_grad():
        whole = loaded.predict(loaded.denoiser, **pair)
        said = half.predict(half.denoiser, **noisy_pair(half))
    assert said.dtype == torch.float32
    assert float((said - whole).norm() / whole.norm()) < 0.1
    denoiser = half.trainee()
    adapter = attach(denoiser, half.lora_targets("attention"), plan_on(trained.name))
    torch.autograd.backward(half.predict(denoiser, **noisy_pair(half)).square().mean())
    assert all(up.grad is not None and up.grad.dtype == torch.float32 for up in adapter.ups.values())
    assert half.wear(lora(trained.folder))
    drawing = Drawing(words=words, seed=1)
    (picture,) = half.draw([drawing], half.encode_texts([""]), shape=Shape(height=PX, width=PX), steps=2, guidance=2.0)
    assert picture.size == (PX, PX)


@pytest.mark.parametrize("name", sorted(TINY))
def test_a_folder_of_another_family_is_refused_in_words(name: str, tmp_path: Path) -> None:
    other = "z-image" if name != "z-image" else "flux1-dev"
    TINY[other](tmp_path)
    with pytest.raises(OSError, match="base model"):
        FAMILIES[name](str(tmp_path), CPU_FIT)
    with pytest.raises(OSError, match="folder is not there"):
        FAMILIES[name](str(tmp_path / "nowhere"), CPU_FIT)


@pytest.mark.parametrize("part", ["transformer", "text_encoder", "vae"])
def test_weights_that_were_cut_short_are_told_as_such(part: str, tmp_path: Path) -> None:
    make_job(tmp_path / "job", TINY["z-image"](tmp_path / "base"), pictures=2, plan=plan_on("z-image"))
    file = next((tmp_path / "base" / part).glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:-1000])
    desk = Desk(tmp_path / "told.jsonl")
    (failed,) = [event for event in desk.train(tmp_path / "job", 1) if isinstance(event, Failed)]
    desk.close()
    assert (failed.fault, failed.retry) == ("machine", False)
    assert "missing or damaged" in failed.reason


def test_a_plan_with_convolutions_is_refused_where_there_are_none(tmp_path: Path) -> None:
    plan = replace(plan_on("flux1-dev"), targets="attention+ff+conv")
    make_job(tmp_path, "nowhere", pictures=2, plan=plan)
    with pytest.raises(JobRefused, match="targets: flux1-dev has no convolutions"):
        read_job(tmp_path)
