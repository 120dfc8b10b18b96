"""What a base model in one .safetensors file is, read off its header: family, what it predicts, and why it cannot be used.

The names are those of CompVis' and Stability's code, which A1111, Forge, ComfyUI and all that share files there read.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from storage.domain.errors import FileRefused
from storage.lora_file import Header, read_header

Family = Literal["sd15", "sdxl"]

_UNET_IN = "model.diffusion_model.input_blocks.0.0.weight"
_CLIP_L_OF_SD15 = "cond_stage_model.transformer.text_model.embeddings.position_embedding.weight"
_CLIP_L_OF_SDXL = "conditioner.embedders.0.transformer.text_model.embeddings.position_embedding.weight"
_CLIP_G_OF_SDXL = "conditioner.embedders.1.model.positional_embedding"
_VAES = ("first_stage_model.decoder.conv_in.weight", "vae.decoder.conv_in.weight")
_LORA_MARKS = (".lora_down.", ".lora_up.", ".lora_A.", ".lora_B.", ".hada_w1_a", ".lokr_w1", "lora_unet_")
_OTHERS = (
    ("double_blocks.", "a FLUX model"),
    ("joint_blocks.", "an SD 3 model"),
    ("noise_refiner.", "a Z-Image model"),
    ("cond_stage_model.model.", "an SD 2 model"),
    ("conditioner.embedders.0.model.", "SDXL's refiner"),
    ("control_model.", "a ControlNet"),
    ("down_blocks.0.", "the denoiser of a diffusers folder alone; name the folder that it came from"),
)
"""Part of a name -> what the file is then."""
_EXTRA_CHANNELS = {8: "a model that edits pictures", 9: "an inpainting model"}
"""More inputs than latents: the picture to be changed."""
_EDM = ("edm_mean", "edm_vpred.sigma_max")
"""Playground 2.5 and its like: ComfyUI's supported_models.py tells them by these."""
TITLES: dict[str, str] = {"sd15": "SD 1.5", "sdxl": "SDXL"}
"""Families that are shared as one file."""


@dataclass(frozen=True, kw_only=True)
class BaseFile:
    """A whole checkpoint of a family that can be trained."""

    family: Family
    prediction: Literal["epsilon", "v_prediction"]
    zero_terminal: bool
    """Whether its noise schedule ends in noise alone (Lin et al., arXiv 2305.08891)."""


def read_base_file(path: Path, wanted: str | None = None) -> BaseFile:
    """What the checkpoint is; of the family `wanted`, where one is named. Reads the header alone, never a weight.

    Raises `FileRefused` with what is wrong and what to do.
    """
    if path.suffix.lower() in (".ckpt", ".pt", ".pth", ".bin"):
        raise FileRefused(
            f"a {path.suffix.lower()} file can run code when opened and is never loaded; get the .safetensors version of it"
        )
    try:
        header = read_header(path)
    except FileRefused as refused:
        raise FileRefused(f"{refused}. Get the base model's .safetensors file again") from refused
    if path.suffix.lower() != ".safetensors":
        raise FileRefused("the file is safetensors, but not called so; rename it to end in .safetensors")
    if wanted is not None and wanted not in TITLES and not is_lora(header.tensors):
        raise FileRefused("the file is one file, and this base model is a folder of parts; name the folder")
    family = _family(header)
    if wanted not in (None, family):
        raise FileRefused(
            f"the file is {TITLES[family]}, and {TITLES[wanted or family]} is wanted; train on base {family}"
        )
    prediction = _prediction(header)
    return BaseFile(
        family=family,
        prediction=prediction,
        zero_terminal=prediction == "v_prediction" and _ends_in_noise(header),
    )


def is_lora(names: Collection[str]) -> bool:
    """Whether these are the names of a LoRA."""
    return any(mark in name for name in names for mark in _LORA_MARKS)


def _family(header: Header) -> Family:
    names = header.tensors
    if is_lora(names):
        raise FileRefused("the file is a LoRA, not a base model; name the base that it was made for")
    family: Family | None = None
    if _CLIP_L_OF_SDXL in names and _CLIP_G_OF_SDXL in names:
        family = "sdxl"
    elif _CLIP_L_OF_SD15 in names:
        family = "sd15"
    if family is None or _UNET_IN not in names:
        raise FileRefused(_what_else(names))
    channels = names[_UNET_IN].shape[1]
    if channels in _EXTRA_CHANNELS:
        raise FileRefused(
            f"the file is {_EXTRA_CHANNELS[channels]}, which is not trained here; take the one it came from"
        )
    if not any(name in names for name in _VAES):
        raise FileRefused("the file has no autoencoder (VAE) inside; take the version with the VAE baked in")
    return family


def _what_else(names: Collection[str]) -> str:
    for part, kind in _OTHERS:
        if any(part in name for name in names):
            return f"the file is {kind}, and a whole SD 1.5 or SDXL checkpoint is wanted"
    if _UNET_IN in names:
        return "the file has no text encoder that SD 1.5 or SDXL know; take the full checkpoint, not the UNet alone"
    return "the file is no SD 1.5 or SDXL checkpoint: their names are not in it"


def _prediction(header: Header) -> Literal["epsilon", "v_prediction"]:
    """By the empty tensor `v_pred`, which ComfyUI and A1111 go by, else by what the header says.

    ComfyUI, supported_models.py, `SDXL.model_type`; A1111, pull request 16567; `v` or `epsilon` in the header:
    https://github.com/Stability-AI/ModelSpec
    """
    if any(mark in header.tensors for mark in _EDM):
        raise FileRefused("the file is an EDM model (Playground 2.5 and its like), which is not trained here")
    said = header.metadata.get("modelspec.prediction_type", "").lower().replace("-", "_")
    if "v_pred" in header.tensors or said in ("v", "v_pred", "v_prediction"):
        return "v_prediction"
    if said not in ("", "epsilon", "eps"):
        raise FileRefused(f"the header says that the model predicts {said[:40]!a}; known are epsilon and v")
    return "epsilon"


def _ends_in_noise(header: Header) -> bool:
    """By the empty tensor `ztsnr` (as above; A1111, pull request 16569), or as sd-scripts notes it."""
    return "ztsnr" in header.tensors or header.metadata.get("ss_zero_terminal_snr", "").lower() == "true"
