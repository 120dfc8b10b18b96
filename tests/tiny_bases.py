"""Tiny pipelines of every family's stock class, built from configuration: random weights, written in a fraction of a second.

`filled` weights are functions of their names alone, so that numbers taken from them hold on every machine. Only tests that
import torch may call these.
"""

from __future__ import annotations

import shutil
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLFlux2,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
    FluxPipeline,
    FluxTransformer2DModel,
    PNDMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
    ZImagePipeline,
    ZImageTransformer2DModel,
)
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from torch import nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    Qwen2TokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3Model,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
)

from tests.builders import tiny_base
from trainer.gpu.noise import normal
from trainer.pocket import WEIGHTS, architecture
from trainer.pocket.vocabulary import vocabulary

TOKENS = 64
"""Longest text; the letters of a prompt are its tokens."""
TEXT_WIDTH = 32
CHANNELS = architecture.LATENT_CHANNELS
CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% if enable_thinking is false %}<think>\n\n</think>\n\n"
    "{% endif %}{% endif %}"
)
"""ChatML as Qwen3 has it, without tools."""


def tiny_flux1(folder: Path, seed: int = 0) -> Path:
    """FLUX.1: one double and two single blocks, guidance embedded."""
    tokens, merges = vocabulary()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transformer = FluxTransformer2DModel(
            in_channels=4 * CHANNELS,
            num_layers=1,
            num_single_layers=2,
            attention_head_dim=16,
            num_attention_heads=4,
            joint_attention_dim=TEXT_WIDTH,
            pooled_projection_dim=architecture.TEXT_WIDTH,
            guidance_embeds=True,
            axes_dims_rope=(4, 6, 6),
        )
        pipeline = FluxPipeline(
            scheduler=moving_shift(),
            vae=_flux_vae(),
            text_encoder=CLIPTextModel(_clip_of_77_tokens()),
            tokenizer=CLIPTokenizer(vocab=tokens, merges=merges, model_max_length=77),
            text_encoder_2=T5EncoderModel(
                T5Config(
                    vocab_size=256,
                    d_model=TEXT_WIDTH,
                    d_kv=8,
                    d_ff=48,
                    num_layers=1,
                    num_heads=4,
                    feed_forward_proj="gated-gelu",
                )
            ),
            tokenizer_2=t5_tokenizer(),
            transformer=transformer,
        )
    return _saved(pipeline, folder)


def tiny_flux2(folder: Path, seed: int = 0) -> Path:
    """FLUX.2 klein base: one double and two single blocks, no guidance embedded."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        vae = AutoencoderKLFlux2(
            block_out_channels=(16, 32, 64),
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            layers_per_block=1,
            latent_channels=CHANNELS,
            norm_num_groups=1,
            mid_block_add_attention=False,
        )
        pipeline = Flux2KleinPipeline(
            scheduler=moving_shift(),
            vae=vae,
            text_encoder=Qwen3ForCausalLM(_qwen()),
            tokenizer=qwen_tokenizer(),
            transformer=Flux2Transformer2DModel(
                in_channels=4 * CHANNELS,
                num_layers=1,
                num_single_layers=2,
                attention_head_dim=16,
                num_attention_heads=4,
                joint_attention_dim=3 * TEXT_WIDTH,
                timestep_guidance_channels=32,
                axes_dims_rope=(4, 4, 4, 4),
                guidance_embeds=False,
            ),
            is_distilled=False,
        )
    return _saved(pipeline, folder)


def tiny_zimage(folder: Path, seed: int = 0) -> Path:
    """Z-Image: two layers and one of each refiner."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        pipeline = ZImagePipeline(
            scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
            vae=_flux_vae(),
            text_encoder=Qwen3Model(_qwen()),
            tokenizer=qwen_tokenizer(),
            transformer=ZImageTransformer2DModel(
                in_channels=CHANNELS,
                dim=64,
                n_layers=2,
                n_refiner_layers=1,
                n_heads=4,
                n_kv_heads=4,
                cap_feat_dim=TEXT_WIDTH,
                axes_dims=[4, 6, 6],
                axes_lens=[256, 64, 64],
            ),
        )
        for token in (pipeline.transformer.x_pad_token, pipeline.transformer.cap_pad_token):
            nn.init.normal_(token, std=0.02)
    return _saved(pipeline, folder)


def filled(folder: Path, build: Any) -> Path:
    """A tiny base whose every weight is a function of its name and shape."""
    build(folder)
    from diffusers import DiffusionPipeline

    pipeline = DiffusionPipeline.from_pretrained(folder, local_files_only=True)
    for name, part in sorted(pipeline.components.items()):
        if isinstance(part, nn.Module):
            _fill(name, part)
    return _saved(pipeline, folder)


def with_the_pockets_eye(folder: Path) -> Path:
    """The pocket's trained autoencoder in the place of the random one, so that pictures survive the way there and back.

    Raises `FileNotFoundError` where the pocket's weights are not there.
    """
    from diffusers import DiffusionPipeline

    if not (WEIGHTS / "vae").is_dir():
        raise FileNotFoundError(WEIGHTS / "vae")
    pipeline = DiffusionPipeline.from_pretrained(folder, local_files_only=True)
    trained = AutoencoderKL.from_pretrained(WEIGHTS / "vae", local_files_only=True)
    missing, unexpected = pipeline.vae.load_state_dict(trained.state_dict(), strict=False)
    assert not unexpected
    assert all(name.startswith("bn.") for name in missing)
    return _saved(pipeline, folder)


def as_published(folder: Path, scaling: float) -> Path:
    """A tiny SD 1.5 or SDXL with the pocket's eye that predicts noise under SDXL's published clock (folders of SD 1.5 keep
    their own), its latents in the published units: small once scaled, and large before.

    Four groups a norm in place of one a channel: as in the published sizes, norms leave the mean of a channel in.
    """
    from diffusers import DiffusionPipeline

    pipeline = with_the_pockets_eye(folder) and DiffusionPipeline.from_pretrained(folder, local_files_only=True)
    with torch.no_grad():
        for part in (pipeline.vae.quant_conv.weight, pipeline.vae.quant_conv.bias):
            part[:CHANNELS] /= scaling
        pipeline.vae.post_quant_conv.weight *= scaling
    pipeline.vae.register_to_config(scaling_factor=scaling)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        pipeline.unet = UNet2DConditionModel.from_config({**pipeline.unet.config, "norm_num_groups": 4})
    if not isinstance(pipeline.scheduler, PNDMScheduler):
        pipeline.scheduler = EulerDiscreteScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            interpolation_type="linear",
            prediction_type="epsilon",
            steps_offset=1,
            timestep_spacing="leading",
        )
    return _saved(pipeline, folder)


def _clip_of_77_tokens() -> CLIPTextConfig:
    config = architecture.build_text_encoder().config.to_dict()
    return CLIPTextConfig(**{**config, "max_position_embeddings": 77})


def _flux_vae() -> AutoencoderKL:
    """The pocket's autoencoder with a shift, as FLUX.1's and Z-Image's have one."""
    config = {name: value for name, value in architecture.build_vae().config.items() if not name.startswith("_")}
    return AutoencoderKL(**{**config, "shift_factor": 0.1, "scaling_factor": 0.9})


def moving_shift() -> FlowMatchEulerDiscreteScheduler:
    """FLUX.1's and FLUX.2's configuration."""
    return FlowMatchEulerDiscreteScheduler(
        shift=3.0,
        use_dynamic_shifting=True,
        base_shift=0.5,
        max_shift=1.15,
        base_image_seq_len=256,
        max_image_seq_len=4096,
    )


def _qwen() -> Qwen3Config:
    return Qwen3Config(
        vocab_size=300,
        hidden_size=TEXT_WIDTH,
        intermediate_size=48,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=TOKENS,
    )


def t5_tokenizer(tokens: int = TOKENS) -> T5TokenizerFast:
    """Printable letters as tokens; `tokens` is the longest text."""
    letters = [(letter, -2.0) for letter in string.printable if not letter.isspace()]
    return T5TokenizerFast(
        vocab=[("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -1.0), *letters],
        extra_ids=0,
        model_max_length=tokens,
    )


def qwen_tokenizer(tokens: int = TOKENS) -> Qwen2TokenizerFast:
    """Bytes as tokens, and ChatML's marks; `tokens` is the longest text."""
    vocab = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    inner = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens(
        [
            AddedToken(mark, special=True)
            for mark in ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>")
        ]
    )
    tokenizer = Qwen2TokenizerFast(
        tokenizer_object=inner, pad_token="<|endoftext|>", eos_token="<|im_end|>", model_max_length=tokens
    )
    tokenizer.chat_template = CHAT
    return tokenizer


def _saved(pipeline: Any, folder: Path) -> Path:
    for part in pipeline.components.values():
        if isinstance(part, nn.Module):
            part.eval()  # fresh models are in training mode, and T5 has dropout
    pipeline.save_pretrained(folder)
    return folder


@torch.no_grad()
def _fill(part_name: str, part: nn.Module) -> None:
    for name, value in sorted(part.state_dict().items()):
        if not value.is_floating_point():
            continue
        drawn = normal(tuple(value.shape), 0, 0, f"{part_name}.{name}")
        if name.endswith("running_var"):
            value.copy_(1.0 + 0.5 * drawn.abs())
        elif value.ndim > 1:
            value.copy_(drawn * value[0].numel() ** -0.5)
        else:
            value.copy_(0.1 * drawn + (1.0 if name.endswith("weight") else 0.0))


def tiny_sdxl(folder: Path, seed: int = 0) -> Path:
    """The pocket's tiny pipeline without its judge: as people's SDXL bases are."""
    tiny_base(folder, seed)
    shutil.rmtree(folder / "judge")
    return folder


def tiny_sd15(folder: Path, seed: int = 0) -> Path:
    """SD 1.5: attention through convolutions of 1 x 1, the published scheduler and scaling, no safety checker."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet = UNet2DConditionModel(
            sample_size=8,
            in_channels=CHANNELS,
            out_channels=CHANNELS,
            block_out_channels=(32, 64),
            layers_per_block=1,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            attention_head_dim=2,
            cross_attention_dim=architecture.TEXT_WIDTH,
        )
        vae = architecture.build_vae()
        vae.register_to_config(scaling_factor=0.18215)
        pipeline = StableDiffusionPipeline(
            vae=vae,
            unet=unet,
            text_encoder=architecture.build_text_encoder(),
            tokenizer=architecture.build_tokenizer(),
            scheduler=PNDMScheduler(
                beta_start=0.00085,
                beta_end=0.012,
                beta_schedule="scaled_linear",
                skip_prk_steps=True,
                set_alpha_to_one=False,
                steps_offset=1,
            ),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    return _saved(pipeline, folder)


TINY: dict[str, Callable[[Path], Path]] = {
    "pocket": tiny_base,
    "sd15": tiny_sd15,
    "sdxl": tiny_sdxl,
    "flux1-dev": tiny_flux1,
    "flux2-klein-4b": tiny_flux2,
    "z-image": tiny_zimage,
}
"""Base in a plan -> what writes a tiny pipeline of its class into a folder."""
ALIKE = {"flux2-klein-9b": "flux2-klein-4b"}
"""Bases that differ from another in sizes alone (`families/test_full_size.py`): one tiny pipeline serves both."""
