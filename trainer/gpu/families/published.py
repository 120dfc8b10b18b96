"""The published configurations of SD 1.5 and SDXL, written as a folder that diffusers reads, so that a single file of weights
needs nothing else and nobody is asked for anything.

Numbers: https://huggingface.co/stable-diffusion-v1-5/stable-diffusion-v1-5 and
https://huggingface.co/stabilityai/stable-diffusion-xl-base-1.0. Tokens: CLIP's merges (`clip_merges.LICENSE`).
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffusers import EulerDiscreteScheduler
from transformers import CLIPTokenizer

from storage.base_file import BaseFile
from trainer.gpu.shapes import SD15_UNET, SDXL_UNET

_MERGES = Path(__file__).with_name("clip_merges.txt.gz")
_TEXT: Mapping[str, Any] = {
    "vocab_size": 49408,
    "max_position_embeddings": 77,
    "bos_token_id": 0,
    "eos_token_id": 2,  # what the files say; transformers then looks for the highest id, as CLIP's authors do
    "pad_token_id": 1,
}
_CLIP_L: Mapping[str, Any] = {
    **_TEXT,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "projection_dim": 768,
    "hidden_act": "quick_gelu",
}
_CLIP_G: Mapping[str, Any] = {
    **_TEXT,
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "projection_dim": 1280,
    "hidden_act": "gelu",
}
_VAE: Mapping[str, Any] = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
}
_CONFIGS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "sd15": {
        "unet": SD15_UNET,
        "vae": {**_VAE, "sample_size": 512, "scaling_factor": 0.18215},
        "text_encoder": {**_CLIP_L, "architectures": ["CLIPTextModel"]},
    },
    "sdxl": {
        "unet": SDXL_UNET,
        "vae": {**_VAE, "sample_size": 1024, "scaling_factor": 0.13025, "force_upcast": True},
        "text_encoder": {**_CLIP_L, "architectures": ["CLIPTextModel"]},
        "text_encoder_2": {**_CLIP_G, "architectures": ["CLIPTextModelWithProjection"]},
    },
}
_INDEX: Mapping[str, Mapping[str, Any]] = {
    "sd15": {"_class_name": "StableDiffusionPipeline"},
    "sdxl": {
        "_class_name": "StableDiffusionXLPipeline",
        "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
        "tokenizer_2": ["transformers", "CLIPTokenizer"],
    },
}
_PARTS: Mapping[str, Any] = {
    "scheduler": ["diffusers", "EulerDiscreteScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


def written(folder: Path, family: str) -> Path:
    """The family's folder without its weights: a few megabytes, nearly all of them tokenizers."""
    (folder / "model_index.json").write_text(json.dumps({**_PARTS, **_INDEX[family]}))
    for part, config in _CONFIGS[family].items():
        (folder / part).mkdir()
        (folder / part / "config.json").write_text(json.dumps(config))
    scheduler(BaseFile(family="sdxl", prediction="epsilon", zero_terminal=False)).save_pretrained(folder / "scheduler")
    tokenizer("<|endoftext|>").save_pretrained(folder / "tokenizer")
    if family == "sdxl":
        tokenizer("!").save_pretrained(folder / "tokenizer_2")  # its second encoder was trained with 0 as filling
    return folder


def scheduler(about: BaseFile) -> EulerDiscreteScheduler:
    """SDXL's published scheduler, for what the file predicts.

    With zero terminal SNR the steps start at the schedule's end (Lin et al., arXiv 2305.08891, section 3.3).
    """
    return EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        interpolation_type="linear",
        prediction_type=about.prediction,
        rescale_betas_zero_snr=about.zero_terminal,
        timestep_spacing="trailing" if about.zero_terminal else "leading",
        steps_offset=1,
    )


def tokenizer(filling: str) -> CLIPTokenizer:
    """CLIP's tokenizer of 77 tokens; `filling` is what short texts are filled up with."""
    merges = gzip.decompress(_MERGES.read_bytes()).decode().splitlines()
    letters = _letters()
    words = [*letters, *(f"{one}</w>" for one in letters), *(merge.replace(" ", "") for merge in merges)]
    vocab = {word: number for number, word in enumerate([*words, "<|startoftext|>", "<|endoftext|>"])}
    pairs = [tuple(merge.split(" ")) for merge in merges]
    return CLIPTokenizer(vocab=vocab, merges=pairs, pad_token=filling, model_max_length=77)


def _letters() -> list[str]:
    """What stands for each byte: itself where it can be printed, in the order of CLIP's table, else a letter above 255."""
    printed = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in printed]
    return [chr(byte) for byte in printed] + [chr(256 + place) for place in range(len(hidden))]
