"""The pocket's frozen configuration: stock classes only, so stock `from_pretrained` loads what is saved.

A change here makes exported weights useless. Shapes: pictures 3 x 64 x 64, latents 12 x 16 x 16, captions 24 tokens.
Why one norm group and no mid attention in the VAE: with few channels a group erases colour and contrast
(EXPERIMENTS.md, "Pocket base").
"""

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionConfig,
)

from trainer.pocket.vocabulary import vocabulary

PICTURE_PX = 64
LATENT_CHANNELS = 12
LATENT_PX = 16
CAPTION_TOKENS = 24
TEXT_WIDTH = 96
TIME_ID_WIDTH = 32


def build_tokenizer() -> CLIPTokenizer:
    """A CLIP tokenizer over the pocket's own words and all bytes; 24 tokens a caption."""
    tokens, merges = vocabulary()
    return CLIPTokenizer(vocab=tokens, merges=merges, model_max_length=CAPTION_TOKENS)


def build_scheduler() -> EulerDiscreteScheduler:
    """Sampling schedule: v-prediction with zero terminal SNR (https://arxiv.org/abs/2305.08891), trailing steps."""
    return EulerDiscreteScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
    )


def build_vae() -> AutoencoderKL:
    """The autoencoder, 0.66 M parameters; latents need no scaling (factor 1)."""
    vae = AutoencoderKL(
        block_out_channels=(16, 32, 64),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=1,
        sample_size=PICTURE_PX,
        scaling_factor=1.0,
        mid_block_add_attention=False,
        force_upcast=False,
    )
    return vae.eval()


def build_unet() -> UNet2DConditionModel:
    """The denoiser, 5.9 M parameters, with SDXL's added conditions (pooled text and six size numbers)."""
    unet = UNet2DConditionModel(
        sample_size=LATENT_PX,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=(64, 96, 128),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 3, 4),  # diffusers reads this as heads per block: 32 channels a head
        use_linear_projection=True,
        cross_attention_dim=2 * TEXT_WIDTH,
        addition_embed_type="text_time",
        addition_time_embed_dim=TIME_ID_WIDTH,
        projection_class_embeddings_input_dim=TEXT_WIDTH + 6 * TIME_ID_WIDTH,
    )
    return unet.eval()


def _text_settings() -> dict[str, Any]:
    tokens, _ = vocabulary()
    return {
        "vocab_size": len(tokens),
        "hidden_size": TEXT_WIDTH,
        "intermediate_size": 4 * TEXT_WIDTH,
        "projection_dim": TEXT_WIDTH,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "max_position_embeddings": CAPTION_TOKENS,
        "bos_token_id": tokens["<|startoftext|>"],
        "eos_token_id": tokens["<|endoftext|>"],
        "pad_token_id": tokens["<|endoftext|>"],
    }


def build_text_encoder() -> CLIPTextModel:
    """The first text encoder (SDXL's CLIP-L place), trained together with the denoiser."""
    return CLIPTextModel(CLIPTextConfig(**_text_settings())).eval()


def build_text_encoder_2() -> CLIPTextModelWithProjection:
    """The second text encoder: the text half of the tiny CLIP, frozen while the denoiser learns."""
    return CLIPTextModelWithProjection(CLIPTextConfig(**_text_settings())).eval()


def build_clip() -> CLIPModel:
    """The tiny CLIP; its image half is the embedded judge (64 px, patches of 8)."""
    vision = CLIPVisionConfig(
        hidden_size=128,
        intermediate_size=512,
        projection_dim=TEXT_WIDTH,
        num_hidden_layers=4,
        num_attention_heads=4,
        image_size=PICTURE_PX,
        patch_size=8,
    )
    text = CLIPTextConfig(**_text_settings())
    config = CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=TEXT_WIDTH)
    return CLIPModel(config).eval()


def text_half(clip: CLIPModel) -> CLIPTextModelWithProjection:
    """A copy of the CLIP's text half as SDXL's second text encoder."""
    encoder = build_text_encoder_2()
    state = {name: value for name, value in clip.state_dict().items() if name.startswith("text_")}
    encoder.load_state_dict(state)
    return encoder


def assemble_pipeline(
    *,
    vae: AutoencoderKL,
    unet: UNet2DConditionModel,
    text_encoder: CLIPTextModel,
    text_encoder_2: CLIPTextModelWithProjection,
    tokenizer: CLIPTokenizer | None = None,
) -> StableDiffusionXLPipeline:
    """One stock SDXL pipeline of the parts; both tokenizer places hold the same tokenizer.

    An empty negative prompt is encoded, not zeroed: that is what every other program does with this file layout.
    """
    words = tokenizer or build_tokenizer()
    return StableDiffusionXLPipeline(
        vae=vae.eval(),
        unet=unet.eval(),
        text_encoder=text_encoder.eval(),
        text_encoder_2=text_encoder_2.eval(),
        tokenizer=words,
        tokenizer_2=words,
        scheduler=build_scheduler(),
        force_zeros_for_empty_prompt=False,
        add_watermarker=False,
    )


def load_pipeline(folder: Path) -> StableDiffusionXLPipeline:
    """The pipeline of a folder in fp32, on the CPU, silent and offline."""
    pipeline = StableDiffusionXLPipeline.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
