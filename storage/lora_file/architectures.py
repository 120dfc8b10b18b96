"""What a base model is called in a LoRA's header, per architecture, and how a header or a set of keys tells which it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from storage.domain.bases import BASES


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """One row of the table below."""

    title: str  # as people call it
    modelspec: str  # `modelspec.architecture`: A1111 and Forge sort and hide LoRAs by it
    implementation: str  # `modelspec.implementation`
    base_version: str  # `ss_base_model_version`
    network: str = "networks.lora"  # `ss_network_module`
    sd_version: str = "Unknown"  # "sd version" of the sidecar: the names that A1111 and Forge know
    checkpoint: str  # file name that people know the base by, for workflows
    keymap: str  # file name under storage/keymaps, without ending
    also: tuple[str, ...] = ()  # `modelspec.architecture` and `ss_base_model_version` that other trainers write for it


# SD 1.5, SDXL and FLUX.1: what sd-scripts writes (library/sai_model_spec.py, library/train_util.py) and A1111 and Forge
# compare with (Lora/network.py, sd_forge_lora/network.py). For FLUX.2 and Z-Image no ids are agreed on: those of musubi-tuner
# (utils/sai_model_spec.py, 30c658c4) with `/lora` behind them. `also` keeps what ai-toolkit and OneTrainer write.
# The pocket shares SDXL's classes, not its sizes: a name of its own keeps a tool from offering its LoRAs for SDXL.
ARCHITECTURES: Mapping[str, Architecture] = {
    "sdxl": Architecture(
        title=BASES["sdxl"].title,
        modelspec="stable-diffusion-xl-v1-base/lora",
        implementation="https://github.com/Stability-AI/generative-models",
        base_version="sdxl_base_v1-0",
        sd_version="SDXL",
        checkpoint=BASES["sdxl"].checkpoint,
        keymap="sdxl",
    ),
    "sd15": Architecture(
        title=BASES["sd15"].title,
        modelspec="stable-diffusion-v1/lora",
        implementation="https://github.com/CompVis/stable-diffusion",
        base_version="sd_v1",
        sd_version="SD1",
        checkpoint=BASES["sd15"].checkpoint,
        keymap="sd15",
        also=("sd_1.5", "stable-diffusion-v1-5/lora"),
    ),
    "flux1-dev": Architecture(
        title=BASES["flux1-dev"].title,
        modelspec="flux-1-dev/lora",
        implementation="https://github.com/black-forest-labs/flux",
        base_version="flux1",
        network="networks.lora_flux",
        sd_version="Flux",
        checkpoint=BASES["flux1-dev"].checkpoint,
        keymap="flux1-dev",
        also=("flux-1-schnell/lora", "Flux.1-dev/lora", "flux.1"),
    ),
    "flux2-klein-4b": Architecture(
        title=BASES["flux2-klein-4b"].title,
        modelspec="Flux.2-klein-4b/lora",
        implementation="https://github.com/black-forest-labs/flux2",
        base_version="flux_2_klein_4b",
        network="networks.lora_flux_2",
        checkpoint=BASES["flux2-klein-4b"].checkpoint,
        keymap="flux2-klein-4b",
    ),
    "flux2-klein-9b": Architecture(
        title=BASES["flux2-klein-9b"].title,
        modelspec="Flux.2-klein-9b/lora",
        implementation="https://github.com/black-forest-labs/flux2",
        base_version="flux_2_klein_9b",
        network="networks.lora_flux_2",
        checkpoint=BASES["flux2-klein-9b"].checkpoint,
        keymap="flux2-klein-9b",
    ),
    "z-image": Architecture(
        title=BASES["z-image"].title,
        modelspec="Z-Image/lora",
        implementation="https://github.com/Tongyi-MAI/Z-Image",
        base_version="z_image",
        network="networks.lora_zimage",
        checkpoint=BASES["z-image"].checkpoint,
        keymap="z-image",
        also=("Z-Image-Turbo/lora", "zimage_turbo"),
    ),
    "pocket": Architecture(
        title=BASES["pocket"].title,
        modelspec="lorasmith-pocket-v1/lora",
        implementation="https://github.com/huggingface/diffusers",
        base_version="lorasmith_pocket_v1",
        checkpoint=BASES["pocket"].checkpoint,
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
    said = spec or version
    for name, architecture in ARCHITECTURES.items():
        if said and said in (architecture.modelspec if spec else architecture.base_version, *architecture.also):
            return name
    return "sdxl" if version.startswith("sdxl_") else None
