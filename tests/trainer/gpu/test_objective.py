"""The objective of v-prediction is right, not only consistent: what it teaches, the stock pipeline draws.

All weights of a small denoiser are trained with the loop's own step on one picture; then the stock pipeline, which knows
nothing of our loop, draws that picture back from noise.
"""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from PIL import Image

from tests.builders import CPU_FIT, drawn_pictures, tiny_base, tiny_plan
from trainer.gpu.families.sdxl import Sdxl
from trainer.gpu.latents import Encoded
from trainer.gpu.loop import train_step
from trainer.gpu.optimizers import optimizer_for
from trainer.gpu.pictures import Framed, Shape, pixels
from trainer.gpu.views import batches, views
from trainer.pocket import WEIGHTS

PX = 32
STEPS = 220
CAPTION = "a zorvex toy"


def base_folder(folder: Path) -> Path:
    """The tiny denoiser with the pocket's real autoencoder, so that a picture survives the way there and back."""
    tiny_base(folder)
    shutil.rmtree(folder / "vae")
    shutil.copytree(WEIGHTS / "vae", folder / "vae")
    return folder


def decibels(drawn: Image.Image, wanted: Image.Image) -> float:
    """Peak signal to noise ratio."""
    difference = np.asarray(drawn, np.float64) - np.asarray(wanted, np.float64)
    return 10 * math.log10(255.0**2 / max(float(np.square(difference).mean()), 1e-9))


def drawn_back(folder: Path, weights: dict[str, torch.Tensor]) -> Image.Image:
    """By the stock pipeline, from noise and the caption alone."""
    stock = StableDiffusionXLPipeline.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    stock.set_progress_bar_config(disable=True)
    stock.unet.load_state_dict(weights)
    seed = torch.Generator().manual_seed(5)
    image: Image.Image = stock(
        prompt=CAPTION, height=PX, width=PX, num_inference_steps=20, guidance_scale=1.0, generator=seed
    ).images[0]
    return image


def test_what_the_loop_teaches_of_velocities_the_stock_pipeline_draws(tmp_path: Path) -> None:
    if not (WEIGHTS / "vae").is_dir():
        pytest.skip("the pocket's weights are not there")
    folder = base_folder(tmp_path / "base")
    base = Sdxl(str(folder), replace(CPU_FIT, micro_batch=8), squares_only=True)
    assert base.schedule.prediction == "v_prediction"
    wanted = drawn_pictures(1)[0].resize((PX, PX), Image.Resampling.LANCZOS)
    latents = base.posteriors(pixels(wanted)[None]).mean_BCHW[0]
    shape = Shape(height=PX, width=PX)
    framed = Framed(id="p", sha256="0" * 64, image=wanted, shape=shape, original=(PX, PX), held_out=False)
    picture = Encoded(picture=framed, kept={"plain": latents, "mirrored": latents})
    plan = replace(
        tiny_plan(), batch_size=8, captions=(CAPTION,), caption_dropout=0.0, flip=False, steps=STEPS, weight_decay=0.0
    )
    words = {CAPTION: base.encode_texts([CAPTION])}
    denoiser = base.trainee().requires_grad_(True)
    before = decibels(drawn_back(folder, denoiser.state_dict()), wanted)
    optimizer = optimizer_for(denoiser.parameters(), plan)
    for step in range(1, STEPS + 1):
        seen = views(plan, [picture], base.schedule.steps, step)
        rate = 3e-3 * min(1.0, step / 20) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / STEPS)))
        train_step(base, denoiser, optimizer, batches(base, seen, words, plan, step=step, most=8), plan, rate=rate)
    after = decibels(drawn_back(folder, denoiser.state_dict()), wanted)
    print(f"{before:.1f} dB before, {after:.1f} dB after")
    assert before < 15.0
    assert after > 20.0
