"""What the loss teaches, each family's stock pipeline draws: the objective is right, not only consistent with itself.

All weights of a tiny denoiser learn one picture; then the stock pipeline, which knows nothing of our loop, draws it from
noise. A wrong sign, time, scale or order of tokens leaves noise or mush.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

from tests.builders import CPU_FIT, drawn_pictures, tiny_plan
from tests.tiny_bases import TINY, TOKENS, as_published, with_the_pockets_eye
from trainer.gpu.families import FAMILIES
from trainer.gpu.latents import Encoded
from trainer.gpu.loop import train_step
from trainer.gpu.pictures import Framed, Shape, pixels
from trainer.gpu.views import batches, views
from trainer.pocket import WEIGHTS

PX = 32
CAPTION = "a zorvex toy"


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """How a base is called in diffusers, and how its tiny form learns one picture."""

    stock: str
    call: dict[str, Any]
    steps: int = 240
    rate: float = 5e-3
    batch: int = 4
    scaling: float | None = None
    """Of the published autoencoder, where the tiny base is brought to it."""
    density: dict[str, Any] = field(default_factory=dict)


HIGH_NOISE: dict[str, Any] = {"timestep_density": "logit-normal", "timestep_mean": 1.0, "timestep_std": 1.5}
"""A model of noise says next to nothing of the picture where noise is high, and drawing starts there at 14 times the picture:
its error counts as many times in the picture, so there it has to be learned well."""
LESSONS: dict[str, Lesson] = {
    "flux1-dev": Lesson(stock="FluxPipeline", call={"guidance_scale": 1.0, "max_sequence_length": TOKENS}),
    "flux2-klein-4b": Lesson(
        stock="Flux2KleinPipeline",
        call={"guidance_scale": 1.0, "max_sequence_length": TOKENS, "text_encoder_out_layers": (1, 2, 3)},
    ),
    "z-image": Lesson(stock="ZImagePipeline", call={"guidance_scale": 0.0, "max_sequence_length": TOKENS}),
    "sd15": Lesson(
        stock="StableDiffusionPipeline",
        call={"guidance_scale": 1.0},
        steps=400,
        rate=4e-3,
        batch=16,
        scaling=0.18215,
        density=HIGH_NOISE,
    ),
    "sdxl": Lesson(
        stock="StableDiffusionXLPipeline",
        call={"guidance_scale": 1.0},
        steps=320,
        rate=4e-3,
        batch=16,
        scaling=0.13025,
        density=HIGH_NOISE,
    ),
}


def decibels(drawn: Image.Image, wanted: Image.Image) -> float:
    """Peak signal to noise ratio."""
    difference = np.asarray(drawn, np.float64) - np.asarray(wanted, np.float64)
    return 10 * math.log10(255.0**2 / max(float(np.square(difference).mean()), 1e-9))


def drawn_back(name: str, folder: Path, weights: dict[str, torch.Tensor]) -> Image.Image:
    """By the stock pipeline, from noise and the caption alone."""
    stock = getattr(diffusers, LESSONS[name].stock).from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    stock.set_progress_bar_config(disable=True)
    (stock.unet if hasattr(stock, "unet") else stock.transformer).load_state_dict(weights)
    seed = torch.Generator().manual_seed(5)
    image: Image.Image = stock(
        prompt=CAPTION, height=PX, width=PX, num_inference_steps=20, generator=seed, **LESSONS[name].call
    ).images[0]
    return image


@pytest.mark.parametrize("name", sorted(LESSONS))
def test_what_the_loss_teaches_the_stock_pipeline_draws(name: str, tmp_path: Path) -> None:
    if not (WEIGHTS / "vae").is_dir():
        pytest.skip("the pocket's weights are not there")
    lesson = LESSONS[name]
    build: Callable[[Path], Path] = TINY[name]
    folder = build(tmp_path / "base")
    folder = with_the_pockets_eye(folder) if lesson.scaling is None else as_published(folder, lesson.scaling)
    base = FAMILIES[name](str(folder), replace(CPU_FIT, micro_batch=lesson.batch))
    wanted = drawn_pictures(1)[0].resize((PX, PX), Image.Resampling.LANCZOS)
    latents = base.posteriors(pixels(wanted)[None]).mean_BCHW[0]
    shape = Shape(height=PX, width=PX)
    framed = Framed(id="p", sha256="0" * 64, image=wanted, shape=shape, original=(PX, PX), held_out=False)
    picture = Encoded(picture=framed, kept={"plain": latents, "mirrored": latents})
    plan = replace(
        replace(tiny_plan(), batch_size=lesson.batch, captions=(CAPTION,), caption_dropout=0.0, flip=False),
        **{"steps": lesson.steps, "weight_decay": 0.0, **lesson.density},
    )
    words = {CAPTION: base.encode_texts([CAPTION])}
    denoiser = base.trainee().requires_grad_(True)
    before = decibels(drawn_back(name, folder, denoiser.state_dict()), wanted)
    optimizer = torch.optim.AdamW(
        denoiser.parameters(), lr=lesson.rate, betas=(0.9, 0.99), weight_decay=0.0, fused=True
    )
    for step in range(1, lesson.steps + 1):
        seen = views(plan, [picture], base.schedule.steps, step)
        falling = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / lesson.steps))
        rate = lesson.rate * min(1.0, step / 20) * falling
        given = batches(base, seen, words, plan, step=step, most=lesson.batch)
        train_step(base, denoiser, optimizer, given, plan, rate=rate)
    after = decibels(drawn_back(name, folder, denoiser.state_dict()), wanted)
    print(f"{name}: {before:.1f} dB before, {after:.1f} dB after")
    assert before < 15.0
    assert after > 20.0
