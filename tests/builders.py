"""What several tests build: job folders for the GPU child."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from PIL import Image, ImageDraw

from storage.domain.orders import SubjectType
from storage.domain.plan import Fit, Plan, PreviewPrompt, Validation
from storage.domain.recipes import PictureOf, plan_for
from trainer.events import Departed, Job, JobPicture

CPU_FIT = Fit(
    device="cpu",
    precision="fp32",
    micro_batch=2,
    gradient_checkpointing=False,
    threads=1,
    deterministic=True,
)


def drawn_pictures(count: int, px: int = 80) -> list[Image.Image]:
    """Pictures of one simple thing at changing places on changing grounds."""
    found = []
    for number in range(count):
        picture = Image.new("RGB", (px, px), (40 + 23 * number % 180, 120, 200 - 17 * number % 150))
        at = 10 + 3 * number % 20
        ImageDraw.Draw(picture).ellipse((at, 20, at + 40, 66), fill=(230, 160 - 9 * number % 90, 40))
        ImageDraw.Draw(picture).rectangle((at + 12, 30, at + 26, 40), fill=(20, 20, 60))
        found.append(picture)
    return found


def tiny_plan(pictures: int = 6, steps: int = 2) -> Plan:
    """A pocket plan that takes about a second a checkpoint: two prompts, two sampler steps, rank 2, 32 px."""
    plan = plan_for(
        base="pocket",
        subject_type=SubjectType.OBJECT,
        class_word="toy",
        trigger="zorvex",
        seed=7,
        pictures=[PictureOf(id=f"p{n}", dhash=n) for n in range(pictures)],
    )
    return replace(
        plan,
        steps=steps,
        checkpoint_steps=(steps,),
        warmup_steps=1,
        batch_size=2,
        rank=2,
        resolution=32,
        targets="attention",
        prompts=(
            PreviewPrompt(text="a zorvex toy on grass", plain="a toy on grass", seeds=(1, 2)),
            PreviewPrompt(text="a red cat on grass", plain="a red cat on grass", seeds=(3, 4), with_trigger=False),
        ),
        preview_steps=2,
        guidance=2.0,
        early_stop=False,
    )


def make_job(
    folder: Path,
    base: Path | str,
    *,
    pictures: int | Sequence[Image.Image] = 6,
    steps: int = 2,
    plan: Plan | None = None,
    fit: Fit = CPU_FIT,
    departures: Sequence[Departed] = (),
    face: tuple[float, float, float, float] | None = None,
) -> Plan:
    """Writes a job folder as the supervisor does, and returns its plan: `tiny_plan` where none is given."""
    images = drawn_pictures(pictures) if isinstance(pictures, int) else pictures
    plan = plan or tiny_plan(len(images), steps)
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images):
        image.save(folder / "pictures" / f"{number}.png")
    job = Job(
        order_id="4k7m2p9x",
        name="blue toy",
        stem="blue-toy-4k7m2p9x",
        date="2025-01-02",
        plan=plan.to_json(),
        fit=fit.to_json(),
        departures=list(departures),
        pictures=[
            JobPicture(id=f"p{n}", file=f"pictures/{n}.png", held_out=f"p{n}" in plan.held_out, face=face)
            for n in range(len(images))
        ],
        base=str(base),
    )
    (folder / "job.json").write_text(json.dumps(job.model_dump()))
    return plan


def tiny_base(folder: Path, seed: int = 0, channels: tuple[int, int] = (32, 64)) -> Path:
    """A pipeline of the SDXL class with random weights and a random judge: the pocket's text and picture ends, few layers.

    Writes in half a second; a training step takes milliseconds. Only tests that import torch may call it. Where whole panels
    are drawn at the pocket's size, fewer `channels` draw them in a third of the time.
    """
    import torch
    from diffusers import UNet2DConditionModel

    from trainer.pocket import architecture

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet = UNet2DConditionModel(
            sample_size=8,
            in_channels=architecture.LATENT_CHANNELS,
            out_channels=architecture.LATENT_CHANNELS,
            block_out_channels=channels,
            norm_num_groups=channels[0],
            layers_per_block=1,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            attention_head_dim=(1, 2),
            use_linear_projection=True,
            cross_attention_dim=2 * architecture.TEXT_WIDTH,
            addition_embed_type="text_time",
            addition_time_embed_dim=architecture.TIME_ID_WIDTH,
            projection_class_embeddings_input_dim=architecture.TEXT_WIDTH + 6 * architecture.TIME_ID_WIDTH,
        )
        vae = architecture.build_vae()
        with torch.no_grad():  # a narrow posterior, as no random autoencoder has one; its middle stays
            vae.quant_conv.weight[architecture.LATENT_CHANNELS :] = 0.0
            vae.quant_conv.bias[architecture.LATENT_CHANNELS :] = -4.0
        pipeline = architecture.assemble_pipeline(
            vae=vae,
            unet=unet,
            text_encoder=architecture.build_text_encoder(),
            text_encoder_2=architecture.build_text_encoder_2(),
        )
        pipeline.save_pretrained(folder)
        architecture.build_clip().save_pretrained(folder / "judge")
    return folder


def without_validation(plan: Plan) -> Plan:
    """The same plan, trained on all pictures."""
    return replace(plan, validation=Validation.NONE, held_out=())
