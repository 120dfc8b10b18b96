"""What SD 1.5 and SDXL have to get right beyond the contract: exact autoencoders, the empty text, samplers' noise, memory."""

from __future__ import annotations

import gc
import json
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import EulerAncestralDiscreteScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline
from safetensors.torch import load_file, save_file

from tests.builders import CPU_FIT, drawn_pictures, make_job
from tests.tiny_bases import TINY
from tests.trainer.gpu.conftest import Desk
from tests.trainer.gpu.families.conftest import plan_on
from trainer.gpu import child
from trainer.gpu.families import FAMILIES, Drawing
from trainer.gpu.pictures import Shape, pixels
from trainer.gpu.training import Training

UNETS = ("sd15", "sdxl")
HALF = replace(CPU_FIT, precision="bf16")
SHAPE = Shape(height=32, width=32)


@pytest.mark.parametrize("name", sorted(TINY))
def test_the_autoencoder_keeps_every_digit_whatever_the_precision(name: str, tmp_path: Path) -> None:
    folder = TINY[name](tmp_path)
    base: Any = FAMILIES[name](str(folder), HALF)
    kept = load_file(folder / "vae" / "diffusion_pytorch_model.safetensors")
    loaded = base._pipeline.vae.state_dict()
    assert all(torch.equal(loaded[key], kept[key]) for key in kept)
    assert next(base.denoiser.parameters()).dtype == torch.bfloat16


@pytest.mark.parametrize("name", UNETS)
def test_an_autoencoder_that_overflows_in_fp16_gives_sound_pictures(name: str, tmp_path: Path) -> None:
    """As SDXL's own does: activations beyond 65504."""
    folder = TINY[name](tmp_path)
    file = folder / "vae" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    for side in ("encoder", "decoder"):
        tensors[f"{side}.conv_in.weight"] *= 1e6
    save_file(tensors, file)
    base: Any = FAMILIES[name](str(folder), HALF)
    seen: list[float] = []
    for side in (base._pipeline.vae.encoder, base._pipeline.vae.decoder):
        side.conv_in.register_forward_hook(lambda _, __, out: seen.append(float(out.abs().max())))
    latents = base.posteriors(pixels(drawn_pictures(1)[0].resize((32, 32)))[None]).mean_BCHW
    words = base.encode_texts(["a toy"])
    (picture,) = base.draw([Drawing(words=words, seed=1)], words, shape=SHAPE, steps=2, guidance=1.0)
    assert min(seen) > 65504
    assert bool(torch.isfinite(latents).all())
    assert len(set(picture.tobytes())) > 10


@pytest.mark.parametrize("name", UNETS)
def test_texts_are_what_the_stock_pipeline_makes_of_them(name: str, tmp_path: Path) -> None:
    folder = TINY[name](tmp_path)
    base: Any = FAMILIES[name](str(folder), CPU_FIT)
    kind: Any = StableDiffusionXLPipeline if name == "sdxl" else StableDiffusionPipeline
    told = kind.from_pretrained(folder, local_files_only=True).encode_prompt(
        prompt=["a zorvex toy", ""], device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False
    )
    words = base.encode_texts(["a zorvex toy", ""])
    assert torch.equal(words.hidden_BLD, told[0])
    if name == "sdxl":
        assert torch.equal(words.pooled, told[2])


def test_the_empty_text_is_heard_also_where_the_folder_asks_for_zeros(tmp_path: Path) -> None:
    folder = TINY["sdxl"](tmp_path)
    index = folder / "model_index.json"
    plain = FAMILIES["sdxl"](str(folder), CPU_FIT).encode_texts([""])
    index.write_text(json.dumps({**json.loads(index.read_text()), "force_zeros_for_empty_prompt": True}))
    base: Any = FAMILIES["sdxl"](str(folder), CPU_FIT)
    assert torch.equal(base.encode_texts([""]).hidden_BLD, plain.hidden_BLD)
    assert float(plain.hidden_BLD.abs().max()) > 0
    assert float(plain.pooled.abs().max()) > 0


@pytest.mark.parametrize("name", UNETS)
def test_a_sampler_that_adds_noise_draws_a_seed_the_same_alone_and_in_company(name: str, tmp_path: Path) -> None:
    base: Any = FAMILIES[name](str(TINY[name](tmp_path)), CPU_FIT)
    base._pipeline.scheduler = EulerAncestralDiscreteScheduler.from_config(base._pipeline.scheduler.config)
    words = base.encode_texts(["a toy"])

    def drawn(seeds: list[int], process_seed: int) -> list[bytes]:
        torch.manual_seed(process_seed)
        drawings = [Drawing(words=words, seed=seed) for seed in seeds]
        return [p.tobytes() for p in base.draw(drawings, words, shape=SHAPE, steps=4, guidance=1.0)]

    both = drawn([1, 2], 0)
    assert both[0] != both[1]
    assert drawn([1, 2], 99) == both
    alone = torch.frombuffer(bytearray(drawn([2], 5)[0]), dtype=torch.uint8).int()
    in_company = torch.frombuffer(bytearray(both[1]), dtype=torch.uint8).int()
    assert int((alone - in_company).abs().max()) <= 1


@pytest.mark.parametrize("name", UNETS)
def test_training_takes_no_second_copy_of_the_weights(name: str, tmp_path: Path) -> None:
    base = FAMILIES[name](str(TINY[name](tmp_path)), CPU_FIT)
    mine = dict(base.denoiser.named_parameters())
    other = dict(base.trainee().named_parameters())
    assert base.trainee() is not base.denoiser
    assert all(mine[key] is other[key] for key in mine)


def test_the_last_orders_training_is_gone_before_the_next_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = TINY["sdxl"](tmp_path / "base")
    for name in ("one", "two"):
        make_job(tmp_path / name, base, pictures=2, plan=plan_on("sdxl"))
    desk = Desk(tmp_path / "told.jsonl")
    desk.train(tmp_path / "one", 1)
    assert desk.child._training is not None
    last = weakref.ref(desk.child._training.adapter.denoiser)
    found: list[bool] = []

    def begins(*given: Any) -> Training:
        gc.collect()
        found.append(last() is None)
        return Training(*given)

    monkeypatch.setattr(child, "Training", begins)
    desk.train(tmp_path / "two", 3)
    desk.finish(tmp_path / "two", 3)
    desk.close()
    assert found == [True]
    assert desk.child._training is None
