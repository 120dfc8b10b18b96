"""What a base model is called in a LoRA's header, per architecture, and how a header or a set of keys tells which it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """One row of the table below."""

    modelspec: str  # `modelspec.architecture`: A1111 and Forge sort and hide LoRAs by it
    implementation: str  # `modelspec.implementation`
    base_version: str  # `ss_base_model_version`
    sd_version: str  # "sd version" of the sidecar: the names that A1111 and Forge know
    checkpoint: str  # file name that people know the base by, for workflows
    keymap: str  # file name under storage/keymaps, without ending; "" where there is none


# SDXL's names: what sd-scripts writes (library/sai_model_spec.py) and A1111 compares with (its Lora/network.py).
# The pocket shares SDXL's classes, not its sizes: a name of its own keeps a tool from offering its LoRAs for SDXL.
ARCHITECTURES: Mapping[str, Architecture] = {
    "sdxl": Architecture(
        modelspec="stable-diffusion-xl-v1-base/lora",
        implementation="https://github.com/Stability-AI/generative-models",
        base_version="sdxl_base_v1-0",
        sd_version="SDXL",
        checkpoint="sd_xl_base_1.0.safetensors",
        keymap="sdxl",
    ),
    "pocket": Architecture(
        modelspec="lorasmith-pocket-v1/lora",
        implementation="https://github.com/huggingface/diffusers",
        base_version="lorasmith_pocket_v1",
        sd_version="Unknown",
        checkpoint="lorasmith_pocket_v1.safetensors",
        keymap="pocket",
    ),
}


def architecture_named(name: str) -> Architecture:
    """The row of `name` ("sdxl", "pocket"). Raises ValueError for one that this program cannot export."""
    if name not in ARCHITECTURES:
        raise ValueError(f"no header is known for the architecture {name!r}; known: {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name]


def name_in_header(metadata: Mapping[str, str]) -> str | None:
    """The name of the row that the header means, else None; judged the way A1111 does (see ARCHITECTURES)."""
    spec = metadata.get("modelspec.architecture", "")
    version = metadata.get("ss_base_model_version", "")
    for name, architecture in ARCHITECTURES.items():
        if spec == architecture.modelspec or (not spec and version == architecture.base_version):
            return name
    return "sdxl" if version.startswith("sdxl_") else None
