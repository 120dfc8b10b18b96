"""The pocket's configuration with random weights, for tests of everything else."""

from __future__ import annotations

from pathlib import Path

import torch

from trainer.pocket.architecture import (
    assemble_pipeline,
    build_text_encoder,
    build_text_encoder_2,
    build_unet,
    build_vae,
)


def random_pipeline(folder: Path, seed: int = 0) -> Path:
    """Write a loadable pipeline."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        pipeline = assemble_pipeline(
            vae=build_vae(),
            unet=build_unet(),
            text_encoder=build_text_encoder(),
            text_encoder_2=build_text_encoder_2(),
        )
    pipeline.save_pretrained(folder)
    return folder
