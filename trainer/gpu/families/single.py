"""A base model that comes as one .safetensors file, as communities share SD 1.5 and SDXL."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from safetensors import SafetensorError
from torch import nn

from storage.base_file import TITLES, Family, read_base_file
from storage.domain.errors import FileRefused
from storage.domain.plan import Fit
from trainer.gpu.families import published, stock

ENDINGS = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")


def is_file(source: str) -> bool:
    """Whether a base model's source means one file, there or not."""
    return Path(source).is_file() or source.lower().endswith(ENDINGS)


def loaded(
    pipeline_class: Any,  # noqa: ANN401 -- diffusers ships no types
    family: Family,
    source: str,
    fit: Fit,
    dtype: torch.dtype,
    *,
    config: Path | None = None,
    **parts: Any,  # noqa: ANN401 -- as above
) -> Any:  # noqa: ANN401 -- as above
    """The pipeline of the file, frozen, its autoencoder in fp32; it draws and learns what its header says it predicts.

    The file is looked at before it is loaded, and nothing is asked of a hub. `config` is a folder whose configuration holds
    in place of the published one, for files of other sizes. Raises `WrongBase`.
    """
    try:
        about = read_base_file(Path(source), family)
    except FileRefused as refused:
        raise stock.WrongBase(f"the base model cannot be used: {refused}") from refused
    with tempfile.TemporaryDirectory() as home:
        folder = published.written(Path(home), family) if config is None else config
        where = {"config": str(folder), "local_files_only": True}
        try:
            vae = AutoencoderKL.from_single_file(source, subfolder="vae", torch_dtype=torch.float32, **where)
            scheduler = published.scheduler(about)
            pipeline = pipeline_class.from_single_file(
                source, torch_dtype=dtype, vae=vae, scheduler=scheduler, **where, **parts
            )
        except (OSError, SafetensorError) as error:
            raise stock.WrongBase("the base model's file is damaged; get it again") from error
        except (ValueError, KeyError, AttributeError, RuntimeError, TypeError) as error:
            raise stock.WrongBase(_other_sizes(family)) from error
    if any(weight.is_meta for part in pipeline.components.values() for weight in _weights(part)):
        raise stock.WrongBase(_other_sizes(family))
    return stock.frozen(pipeline, fit, "unet")


def _weights(part: object) -> list[torch.Tensor]:
    return [*part.parameters(), *part.buffers()] if isinstance(part, nn.Module) else []


def _other_sizes(family: str) -> str:
    return (
        f"the base model's file lacks weights of {TITLES[family]} or has them in other sizes (a smaller relative such as"
        " SSD-1B?); take a full checkpoint"
    )
