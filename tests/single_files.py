"""Folders of SD 1.5 and SDXL as one file under the original names, as communities share them: diffusers' names turned back.

The names are checked against the published conversion scripts of diffusers in `test_single`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

_RESNET = (
    ("norm1", "in_layers.0"),
    ("conv1", "in_layers.2"),
    ("norm2", "out_layers.0"),
    ("conv2", "out_layers.3"),
    ("time_emb_proj", "emb_layers.1"),
    ("conv_shortcut", "skip_connection"),
)
_UNET_ENDS = (
    ("conv_in.", "input_blocks.0.0."),
    ("time_embedding.linear_1.", "time_embed.0."),
    ("time_embedding.linear_2.", "time_embed.2."),
    ("add_embedding.linear_1.", "label_emb.0.0."),
    ("add_embedding.linear_2.", "label_emb.0.2."),
    ("conv_norm_out.", "out.0."),
    ("conv_out.", "out.2."),
)
_VAE_WORDS = (
    ("conv_norm_out.", "norm_out."),
    ("conv_shortcut.", "nin_shortcut."),
    ("mid_block.resnets.0.", "mid.block_1."),
    ("mid_block.resnets.1.", "mid.block_2."),
    ("mid_block.attentions.0.group_norm.", "mid.attn_1.norm."),
    ("mid_block.attentions.0.to_q.", "mid.attn_1.q."),
    ("mid_block.attentions.0.to_k.", "mid.attn_1.k."),
    ("mid_block.attentions.0.to_v.", "mid.attn_1.v."),
    ("mid_block.attentions.0.to_out.0.", "mid.attn_1.proj_out."),
    ("downsamplers.0.", "downsample."),
    ("upsamplers.0.", "upsample."),
)
_OPENCLIP = (
    ("encoder.layers.", "transformer.resblocks."),
    ("layer_norm1", "ln_1"),
    ("layer_norm2", "ln_2"),
    ("mlp.fc1", "mlp.c_fc"),
    ("mlp.fc2", "mlp.c_proj"),
    ("self_attn.out_proj", "attn.out_proj"),
    ("final_layer_norm", "ln_final"),
    ("embeddings.position_embedding.weight", "positional_embedding"),
    ("embeddings.token_embedding.weight", "token_embedding.weight"),
)


def unet_name(name: str, layers: int) -> str:
    """Of a UNet with so many layers a block."""
    for theirs, original in _UNET_ENDS:
        if name.startswith(theirs):
            return original + name.removeprefix(theirs)
    place, rest = _unet_place(name, layers)
    if place.endswith((".0", "middle_block.2")):
        rest = _replaced(rest, _RESNET)
    return f"{place}.{rest}"


def _unet_place(name: str, layers: int) -> tuple[str, str]:
    if found := re.fullmatch(r"mid_block\.(resnets|attentions)\.(\d)\.(.+)", name):
        at = 1 if found[1] == "attentions" else 2 * int(found[2])
        return f"middle_block.{at}", found[3]
    found = re.fullmatch(r"(down|up)_blocks\.(\d)\.(resnets|attentions|downsamplers|upsamplers)\.(\d)\.(.+)", name)
    assert found, name
    side, block, kind, number, rest = found[1], int(found[2]), found[3], int(found[4]), found[5]
    start = block * (layers + 1)
    if kind == "downsamplers":
        return f"input_blocks.{1 + start + layers}.0", rest.replace("conv.", "op.")
    if kind == "upsamplers":
        return f"output_blocks.{start + layers}.AFTER", rest
    outer = f"input_blocks.{1 + start + number}" if side == "down" else f"output_blocks.{start + number}"
    return f"{outer}.{1 if kind == 'attentions' else 0}", rest


def unet_names(names: Mapping[str, Any], layers: int) -> dict[str, str]:
    """Theirs -> original; an upsampler comes after the attention, where its block has one."""
    found = {name: unet_name(name, layers) for name in names}
    attended = {".".join(name.split(".")[:2]) for name in found.values() if name.split(".")[2] == "1"}
    return {
        name: re.sub(r"(output_blocks\.\d+)\.AFTER", lambda m: f"{m[1]}.{2 if m[1] in attended else 1}", original)
        for name, original in found.items()
    }


def vae_name(name: str, blocks: int) -> str:
    """Of an autoencoder with so many blocks."""
    name = _replaced(name, _VAE_WORDS)
    name = re.sub(r"down_blocks\.(\d)\.", r"down.\1.", name)
    name = re.sub(r"up_blocks\.(\d)\.", lambda m: f"up.{blocks - 1 - int(m[1])}.", name)
    return re.sub(r"resnets\.(\d)\.", r"block.\1.", name)


def _replaced(name: str, words: Sequence[tuple[str, str]]) -> str:
    for theirs, original in words:
        name = name.replace(theirs, original)
    return name


def _openclip(state: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    plain = {name.removeprefix("text_model."): value for name, value in state.items()}
    for name, value in plain.items():
        if name == "text_projection.weight":
            yield "text_projection", value.T
        elif ".self_attn.q_proj." in name:
            three = [plain[name.replace("q_proj", f"{part}_proj")] for part in "qkv"]
            joined = name.replace("encoder.layers.", "transformer.resblocks.")
            yield joined.replace("self_attn.q_proj.", "attn.in_proj_"), torch.cat(three)
        elif not re.search(r"self_attn\.[kv]_proj", name):
            yield _replaced(name, _OPENCLIP), value


def tiny_sdxl_of_two_widths(folder: Path) -> Path:
    """SDXL's class, its second text encoder wider than the first: diffusers tells the two in a file apart by their widths."""
    from diffusers import DiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextModelWithProjection

    from tests.tiny_bases import tiny_sdxl

    pipeline = DiffusionPipeline.from_pretrained(tiny_sdxl(folder), local_files_only=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = pipeline.text_encoder_2.config
        first, config.hidden_size, config.projection_dim = config.hidden_size, 128, 128
        sizes = {"cross_attention_dim": first + 128, "projection_class_embeddings_input_dim": 128 + 6 * 32}
        pipeline.text_encoder_2 = CLIPTextModelWithProjection(config).eval()
        pipeline.unet = UNet2DConditionModel.from_config({**pipeline.unet.config, **sizes}).eval()
    pipeline.save_pretrained(folder)
    return folder


def original(pipeline: Any) -> dict[str, Tensor]:
    """All weights of a pipeline under the original names."""
    unet, vae = pipeline.unet.state_dict(), pipeline.vae.state_dict()
    names = unet_names(unet, pipeline.unet.config.layers_per_block)
    tensors = {f"model.diffusion_model.{names[name]}": value for name, value in unet.items()}
    blocks = len(pipeline.vae.config.block_out_channels)
    for name, value in vae.items():
        matrix = "mid_block.attentions" in name and value.ndim == 2
        tensors[f"first_stage_model.{vae_name(name, blocks)}"] = value[:, :, None, None] if matrix else value
    second = getattr(pipeline, "text_encoder_2", None)
    first = "cond_stage_model.transformer" if second is None else "conditioner.embedders.0.transformer"
    for name, value in pipeline.text_encoder.state_dict().items():
        tensors[f"{first}.text_model.{name.removeprefix('text_model.')}"] = value
    for name, value in _openclip(second.state_dict()) if second is not None else ():
        tensors[f"conditioner.embedders.1.model.{name}"] = value
    return tensors


def write_single(
    folder: Path, file: Path, *, marks: tuple[str, ...] = (), metadata: Mapping[str, str] | None = None
) -> Path:
    """The pipeline of the folder as one file; `marks` are empty tensors of these names."""
    from diffusers import DiffusionPipeline

    pipeline = DiffusionPipeline.from_pretrained(folder, local_files_only=True)
    tensors = {name: value.contiguous().clone() for name, value in original(pipeline).items()}
    save_file(tensors | {mark: torch.zeros(0) for mark in marks}, file, dict(metadata or {}) or None)
    return file
