"""The frozen configuration: stock classes, sizes, and a random pipeline that loads and draws."""

from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionXLPipeline

from tests.pocket_pipeline import random_pipeline
from trainer.pocket.architecture import (
    CAPTION_TOKENS,
    PICTURE_PX,
    build_clip,
    build_unet,
    build_vae,
    load_pipeline,
    text_half,
)

# diffusers' Euler scheduler makes numpy arrays of tensors the old way
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_pipeline(tmp_path_factory.mktemp("pocket"), seed=3)


def test_a_random_pipeline_is_stock_sdxl_and_draws_64_px(folder: Path) -> None:
    pipeline = load_pipeline(folder)
    assert type(pipeline) is StableDiffusionXLPipeline
    picture = pipeline("a red zorvex dog", num_inference_steps=2, generator=torch.manual_seed(0)).images[0]
    assert picture.size == (PICTURE_PX, PICTURE_PX)


def test_the_same_seed_writes_the_same_weights(folder: Path, tmp_path: Path) -> None:
    again = random_pipeline(tmp_path, seed=3)
    name = "unet/diffusion_pytorch_model.safetensors"
    assert (folder / name).read_bytes() == (again / name).read_bytes()


def test_the_denoiser_has_five_to_eight_million_parameters() -> None:
    assert 5e6 < sum(parameter.numel() for parameter in build_unet().parameters()) < 8e6


def test_everything_is_built_for_use_and_not_for_training() -> None:
    assert not any(module.training for module in (build_unet(), build_vae(), build_clip()))


def test_the_second_text_encoder_is_the_clip_text_half() -> None:
    clip = build_clip()
    tokens = torch.randint(0, 500, (2, CAPTION_TOKENS))
    tokens[:, -1] = clip.config.text_config.eos_token_id
    expected = clip.text_projection(clip.text_model(input_ids=tokens).pooler_output)
    assert torch.allclose(text_half(clip)(input_ids=tokens).text_embeds, expected, atol=1e-6)
