"""What every family does alike with a stock diffusers pipeline: load it frozen, put a LoRA file on, draw a seed's noise.

Shapes as in `family`.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from peft.tuners.lora import LoraLayer
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor, nn

from storage.domain.plan import Fit
from trainer.gpu.families.family import Drawing, Worn
from trainer.gpu.placing import place, shared

ADAPTER = "file"
"""What the worn LoRA is called inside the pipeline."""
MAX_INDEX_BYTES = 1 << 20


class WrongBase(OSError):
    """The folder holds no whole base model of the family that the plan names. The message may be shown: it holds no path."""


def loaded(
    pipeline_class: Any,  # noqa: ANN401 -- diffusers ships no types
    source: str,
    fit: Fit,
    dtype: torch.dtype,
    *,
    denoiser: str = "transformer",
    **parts: Any,  # noqa: ANN401 -- as above
) -> Any:  # noqa: ANN401 -- as above
    """The pipeline of a local folder or hub id, frozen; the autoencoder in fp32, where rounding would be seen.

    Only safetensors are read, no code of the model's, and nothing of the network. `denoiser` is the part's name in the
    pipeline, `parts` go to `from_pretrained` as they are. Raises `WrongBase`.
    """
    folder = located(source)
    _check(folder, pipeline_class.__name__, denoiser)
    half = bool(list((folder / denoiser).glob("*.fp16.safetensors")))  # half the bytes, and bf16 or fp32 from here on
    try:
        pipeline = pipeline_class.from_pretrained(
            folder,
            dtype={"default": dtype, "vae": torch.float32},
            variant="fp16" if half else None,
            use_safetensors=True,
            local_files_only=True,
            **parts,
        )
    except (OSError, SafetensorError) as error:
        raise WrongBase("a file of the base model is missing or damaged; fetch it again") from error
    return frozen(pipeline, fit, denoiser)


def located(source: str) -> Path:
    """The folder of a base model: the one given, or this machine's copy of `owner/name` or `owner/name@revision`.

    Nothing is fetched here, `lorasmith fetch` does that: a training neither waits for a hub nor tells it anything. Raises
    `WrongBase`.
    """
    folder = Path(source)
    if folder.is_dir():
        return folder
    if folder.is_file():
        raise WrongBase("this base model is a folder of parts, not one file")
    if folder.is_absolute():
        raise WrongBase("the base model's folder is not there")
    name, _, revision = source.partition("@")
    try:
        return Path(snapshot_download(name, revision=revision or None, local_files_only=True))
    except (OSError, ValueError) as error:
        raise WrongBase("the base model is not on this machine; bring it with: lorasmith fetch") from error


def frozen(pipeline: Any, fit: Fit, denoiser: str) -> Any:  # noqa: ANN401 -- diffusers ships no types
    """The pipeline with its parts where the fit says, silent, with nothing in it that learns. Raises `CannotQuantise`."""
    place(pipeline, fit, denoiser)
    pipeline.set_progress_bar_config(disable=True)
    for part in pipeline.components.values():
        if isinstance(part, nn.Module):
            part.requires_grad_(requires_grad=False).eval()
    return pipeline


def _check(folder: Path, wanted: str, denoiser: str) -> None:
    try:
        with (folder / "model_index.json").open("rb") as file:
            found = json.loads(file.read(MAX_INDEX_BYTES)).get("_class_name")
    except (OSError, ValueError, AttributeError) as error:
        raise WrongBase("the base model's folder has no readable model_index.json") from error
    if found != wanted:
        raise WrongBase(f"the base model's folder holds a {str(found)[:60]}, and a {wanted} is wanted")
    if not list((folder / denoiser).glob("diffusion_pytorch_model*.safetensors")):
        raise WrongBase(f"the base model's folder has no safetensors weights of its {denoiser}")


def parts(pipeline: Any) -> dict[str, nn.Module]:  # noqa: ANN401 -- diffusers ships no types
    """The networks of a pipeline by name."""
    return {name: part for name, part in pipeline.components.items() if isinstance(part, nn.Module)}


def copied(denoiser: nn.Module) -> nn.Module:
    """A denoiser of its own modules over the same weights: adapters go on without a second copy in memory."""
    return copy.deepcopy(denoiser, shared(denoiser))


def wear(pipeline: Any, denoiser: nn.Module, file: Path) -> dict[str, Worn]:  # noqa: ANN401 -- diffusers ships no types
    """Loads a LoRA file through the pipeline's own loader, and says what arrived in the denoiser, by module path."""
    pipeline.load_lora_weights(
        str(file.parent), weight_name=file.name, adapter_name=ADAPTER, use_safetensors=True, local_files_only=True
    )
    denoiser.eval()
    return worn(denoiser)


def worn(module: nn.Module) -> dict[str, Worn]:
    """What a LoRA file has brought into a module, by path."""
    return {
        path: Worn(
            down=layer.lora_A[ADAPTER].weight, up=layer.lora_B[ADAPTER].weight, scaling=float(layer.scaling[ADAPTER])
        )
        for path, layer in module.named_modules()
        if isinstance(layer, LoraLayer) and ADAPTER in layer.lora_A
    }


def targets(denoiser: nn.Module, endings: Mapping[str, Sequence[str]], wanted: str, family: str) -> tuple[str, ...]:
    """Paths of linear layers that end as the preset says, sorted. Raises `ValueError` for a preset that is not there."""
    if wanted not in endings:
        raise ValueError(f"{family} has no layers for {wanted!r}; it has: {', '.join(endings)}")
    ends = tuple(f".{ending}" for ending in endings[wanted])
    return tuple(
        sorted(path for path, layer in denoiser.named_modules() if isinstance(layer, nn.Linear) and path.endswith(ends))
    )


def seeded_noise(drawings: Sequence[Drawing], size: tuple[int, int, int]) -> Tensor:
    """The initial noise of each drawing (C, H, W) from its seed alone, drawn on the CPU in fp32."""
    return torch.stack(
        [torch.randn(size, generator=torch.Generator().manual_seed(drawing.seed)) for drawing in drawings]
    )


def decoded(pipeline: Any, latents_BCHW: Tensor) -> list[Image.Image]:  # noqa: ANN401 -- diffusers ships no types
    """Pictures of latents as the autoencoder takes them, one at a time; undefined numbers become black."""
    found = [pipeline.vae.decode(one_CHW[None].float(), return_dict=False)[0] for one_CHW in latents_BCHW]
    pictures: list[Image.Image] = pipeline.image_processor.postprocess(
        torch.nan_to_num(torch.cat(found), nan=-1.0), output_type="pil"
    )
    return pictures


_SCALES = ("batch_norm_eps", "latents_mean", "latents_std", "scaling_factor", "shift_factor")


def fingerprint(module: nn.Module) -> str:
    """SHA-256 of the weights by name, as fp32, and of the numbers by which an autoencoder's latents are scaled."""
    config = getattr(module, "config", None) or {}
    digest = hashlib.sha256(repr([(name, config[name]) for name in _SCALES if name in config]).encode())
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()
