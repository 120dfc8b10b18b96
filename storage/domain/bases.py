"""The base models that lorasmith knows: what each is, where it comes from, under which terms, and how large it is.

What one needs of a machine is planned: `footprint`, `rungs`.

Hub ids and revisions were read from public projects that name them with their hashes; sizes from the file lists of the hub.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from storage.domain.phrases import phrase

Family = Literal["sd15", "sdxl", "flux1", "flux2", "zimage"]
FLOWS: frozenset[Family] = frozenset({"flux1", "flux2", "zimage"})
"""Families whose noise is mixed in along a straight line; the others are diffusion models."""


@dataclass(frozen=True, kw_only=True)
class Licence:
    """Under which terms a base is used; LoRAs of it go along under them."""

    name: str
    url: str
    says: str
    """What it means for whoever uses a LoRA, in a few words."""
    non_commercial: bool = False


@dataclass(frozen=True, kw_only=True)
class KnownBase:
    """One row of the registry."""

    name: str
    """As in `Plan.base` and in settings."""
    title: str
    """As people call it."""
    family: Family
    licence: Licence
    hub: str | None
    """`owner/name` on the hub; None is part of lorasmith."""
    revision: str | None
    """Commit on the hub that is fetched, so that everybody trains on the same bytes; None takes the newest."""
    gated: bool = False
    """Whether the hub hands it only to accounts that accepted its licence on its page."""
    half: bool = False
    """Whether the hub has the weights in half precision beside full: then those are fetched."""
    parts: tuple[str, ...]
    """Folders of a pipeline that are needed; whatever else lies there (single files, checkers, samples) is not fetched."""
    download_gb: float
    """10^9 bytes."""
    native_px: int
    """Side of the square that it was made for."""
    checkpoint: str
    """Name of the single file that people have of it, for ComfyUI workflows."""

    @property
    def flow(self) -> bool:
        """Whether it is a flow model."""
        return self.family in FLOWS

    @property
    def source(self) -> str | None:
        """`owner/name@revision`, as loaders take it."""
        if self.hub is None or self.revision is None:
            return self.hub
        return f"{self.hub}@{self.revision}"

    @property
    def page(self) -> str | None:
        """Its page on the hub."""
        return self.hub and f"https://huggingface.co/{self.hub}"

    @property
    def terms(self) -> str:
        """Name and licence in a line, for cards and headers."""
        return f"{self.title}, {self.licence.name}: {self.licence.says}" if self.licence.says else self.licence.name


PIPELINES: dict[Family, str] = {
    "sd15": "StableDiffusionPipeline",
    "sdxl": "StableDiffusionXLPipeline",
    "flux1": "FluxPipeline",
    "flux2": "Flux2KleinPipeline",
    "zimage": "ZImagePipeline",
}
"""What the index of a folder with a base of this family names."""

_SD_PARTS = ("scheduler", "tokenizer", "text_encoder", "unet", "vae")
_DIT_PARTS = ("scheduler", "tokenizer", "text_encoder", "transformer", "vae")
_RAIL = phrase("free to use and share; its use restrictions go along")
_FREE = phrase("free to use and share, also commercially")
_NOT_COMMERCIAL = phrase("not for commercial use, and LoRAs of it neither")
_APACHE = Licence(name="Apache License 2.0", url="https://www.apache.org/licenses/LICENSE-2.0", says=_FREE)

_ROWS = (
    KnownBase(
        name="pocket",
        title="lorasmith's pocket base",
        family="sdxl",
        licence=Licence(
            name=phrase("the embedded pocket model, MIT"), url="https://opensource.org/license/mit", says=""
        ),  # the line that headers of its LoRAs have always carried
        hub=None,
        revision=None,
        parts=(*_SD_PARTS, "tokenizer_2", "text_encoder_2"),
        download_gb=0.0,
        native_px=64,
        checkpoint="lorasmith_pocket_v1.safetensors",
    ),
    KnownBase(
        name="sd15",
        title="Stable Diffusion 1.5",
        family="sd15",
        licence=Licence(
            name="CreativeML Open RAIL-M",
            url="https://huggingface.co/spaces/CompVis/stable-diffusion-license",
            says=_RAIL,
        ),
        hub="stable-diffusion-v1-5/stable-diffusion-v1-5",  # runwayml's was taken down; the hub names this as its copy
        revision="451f4fe16113bff5a5d2269ed5ad43b0592e9a14",
        half=True,
        parts=_SD_PARTS,
        download_gb=2.1,
        native_px=512,
        checkpoint="v1-5-pruned-emaonly.safetensors",
    ),
    KnownBase(
        name="sdxl",
        title="SDXL",
        family="sdxl",
        licence=Licence(
            name="CreativeML Open RAIL++-M",
            url="https://huggingface.co/stabilityai/stable-diffusion-xl-base-1.0/blob/main/LICENSE.md",
            says=_RAIL,
        ),
        hub="stabilityai/stable-diffusion-xl-base-1.0",
        revision="462165984030d82259a11f4367a4eed129e94a7b",
        half=True,
        parts=(*_SD_PARTS, "tokenizer_2", "text_encoder_2"),
        download_gb=6.9,
        native_px=1024,
        checkpoint="sd_xl_base_1.0.safetensors",
    ),
    KnownBase(
        name="flux1-dev",
        title="FLUX.1-dev",
        family="flux1",
        licence=Licence(
            name="FLUX.1 [dev] Non-Commercial License",
            url="https://huggingface.co/black-forest-labs/FLUX.1-dev/blob/main/LICENSE.md",
            says=_NOT_COMMERCIAL,
            non_commercial=True,
        ),
        hub="black-forest-labs/FLUX.1-dev",
        revision="3de623fc3c33e44ffbe2bad470d0f45bccf2eb21",
        gated=True,
        parts=(*_DIT_PARTS, "tokenizer_2", "text_encoder_2"),
        download_gb=33.7,  # transformer 23.8, T5 9.5, CLIP and autoencoder 0.4
        native_px=1024,
        checkpoint="flux1-dev.safetensors",
    ),
    KnownBase(
        name="flux2-klein-4b",
        title="FLUX.2 klein 4B",
        family="flux2",
        licence=_APACHE,
        hub="black-forest-labs/FLUX.2-klein-base-4B",  # base, not distilled: its own page says to train that one
        revision="a3b4f4849157f664bdbc776fd7453c2783562f4d",
        parts=_DIT_PARTS,
        download_gb=16.1,  # transformer 7.8, Qwen3-4B 8.0, autoencoder 0.3
        native_px=1024,
        checkpoint="flux-2-klein-base-4b.safetensors",
    ),
    KnownBase(
        name="flux2-klein-9b",
        title="FLUX.2 klein 9B",
        family="flux2",
        licence=Licence(
            name="FLUX Non-Commercial License",
            url="https://huggingface.co/black-forest-labs/FLUX.2-klein-base-9B/blob/main/LICENSE.md",
            says=_NOT_COMMERCIAL,
            non_commercial=True,
        ),
        hub="black-forest-labs/FLUX.2-klein-base-9B",
        revision="32773329fbe7e81a90ef971740e8ba4b0364ecf3",
        gated=True,
        parts=_DIT_PARTS,
        download_gb=34.9,  # transformer 18.2, Qwen3-8B 16.4, autoencoder 0.3
        native_px=1024,
        checkpoint="flux-2-klein-base-9b.safetensors",
    ),
    KnownBase(
        name="z-image",
        title="Z-Image",
        family="zimage",
        licence=_APACHE,
        hub="Tongyi-MAI/Z-Image",
        revision="04cc4abb7c5069926f75c9bfde9ef43d49423021",
        parts=_DIT_PARTS,
        download_gb=20.5,  # transformer 12.3, Qwen3-4B 8.0, autoencoder 0.2
        native_px=1024,
        checkpoint="z_image_bf16.safetensors",
    ),
)

BASES: dict[str, KnownBase] = {row.name: row for row in _ROWS}
"""By name, the pocket first."""


def flow(base: str) -> bool:
    """Whether a base is a flow model. One that is not known counts as a diffusion model."""
    return base in BASES and BASES[base].flow
