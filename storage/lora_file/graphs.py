"""The nodes that draw a preview in ComfyUI, for every family of base models: what loads it, what the LoRA hangs on, what samples.

Names, inputs and their order as ComfyUI defines them (a test holds each against its definition); which nodes a family takes as
in ComfyUI's own templates: https://github.com/Comfy-Org/workflow_templates
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from storage.domain.bases import BASES, Family

Link = tuple[str, int, int, str]
"""Input name, node it comes from, output slot, type."""
Size = tuple[tuple[str, object], ...]


@dataclass(frozen=True, kw_only=True)
class Preview:
    """How one preview was drawn."""

    base: str  # of `storage.domain.bases.BASES`
    prompt: str  # with the trigger
    negative: str
    lora: str  # file name, with .safetensors
    lora_sha256: str  # of the tensor bytes: `sshs_model_hash`
    scale: float
    checkpoint: str  # file name of the base model in the user's folder
    width: int  # px
    height: int
    steps: int
    guidance: float
    seed: int

    @property
    def family(self) -> Family:
        """Of its base."""
        return BASES[self.base].family


@dataclass(frozen=True, kw_only=True)
class Node:
    """One node of a graph."""

    kind: str  # class name in ComfyUI
    links: tuple[Link, ...] = ()
    widgets: tuple[tuple[str, object], ...] = ()  # in ComfyUI's order
    outputs: tuple[str, ...] = ()  # types
    at: tuple[int, int] = (0, 0)  # px on the canvas


Graph = dict[int, Node]

ENCODERS: Mapping[str, tuple[str, ...]] = {
    "flux1-dev": ("t5xxl_fp16.safetensors", "clip_l.safetensors"),
    "flux2-klein-4b": ("qwen_3_4b.safetensors",),
    "flux2-klein-9b": ("qwen_3_8b.safetensors",),
    "z-image": ("qwen_3_4b.safetensors",),
}
"""File names of the text encoders that ComfyUI's templates load with a base that is no single checkpoint."""
SAMPLER = "euler"


def graph_of(preview: Preview) -> Graph:
    """All nodes by number; of the loaders 1 gives the model, 2 is the LoRA, 3 and 4 are the prompts."""
    if preview.family in ("sd15", "sdxl"):
        return _of_checkpoint(preview)
    return _of_flux2(preview) if preview.family == "flux2" else _of_parts(preview)


def _of_checkpoint(preview: Preview) -> Graph:
    """SD 1.5 and SDXL: one file has model, text encoders and autoencoder; the LoRA may change both of the former."""
    clip = ("clip", 2, 1, "CLIP")
    return {
        1: Node(
            kind="CheckpointLoaderSimple",
            widgets=(("ckpt_name", preview.checkpoint),),
            outputs=("MODEL", "CLIP", "VAE"),
        ),
        2: Node(
            kind="LoraLoader",
            links=(("model", 1, 0, "MODEL"), ("clip", 1, 1, "CLIP")),
            widgets=(*_lora(preview), ("strength_clip", float(preview.scale))),
            outputs=("MODEL", "CLIP"),
            at=(380, 0),
        ),
        **_prompts(preview, clip),
        5: Node(kind="EmptyLatentImage", widgets=_size(preview), outputs=("LATENT",), at=(760, 320)),
        6: _sampler(preview, positive=3, guidance=preview.guidance, scheduler="normal"),
        **_picture(sampled=6, vae=("vae", 1, 2, "VAE")),
    }


def _of_parts(preview: Preview) -> Graph:
    """FLUX.1 and Z-Image: model, text encoders and autoencoder are files of their own. The LoRA changes the model alone.

    FLUX.1's guidance is distilled: the prompt carries it, and the sampler gets 1. Z-Image's shift of 3 is ComfyUI's default.
    """
    guided = preview.family == "flux1"
    graph = {
        **_loaders(preview),
        **_prompts(preview, ("clip", 9, 0, "CLIP")),
        5: Node(kind="EmptySD3LatentImage", widgets=_size(preview), outputs=("LATENT",), at=(760, 320)),
        6: _sampler(
            preview, positive=11 if guided else 3, guidance=1.0 if guided else preview.guidance, scheduler="simple"
        ),
        **_picture(sampled=6, vae=("vae", 10, 0, "VAE")),
    }
    if guided:
        graph[11] = Node(
            kind="FluxGuidance",
            links=(("conditioning", 3, 0, "CONDITIONING"),),
            widgets=(("guidance", float(preview.guidance)),),
            outputs=("CONDITIONING",),
            at=(1000, -160),
        )
    return graph


def _of_flux2(preview: Preview) -> Graph:
    """FLUX.2: its noise schedule depends on steps and size, so it comes from a node of its own."""
    guider: tuple[Link, ...] = (
        ("model", 2, 0, "MODEL"),
        ("positive", 3, 0, "CONDITIONING"),
        ("negative", 4, 0, "CONDITIONING"),
    )
    sizes = (("steps", preview.steps), ("width", preview.width), ("height", preview.height))
    sampled: tuple[Link, ...] = (
        ("noise", 11, 0, "NOISE"),
        ("guider", 12, 0, "GUIDER"),
        ("sampler", 13, 0, "SAMPLER"),
        ("sigmas", 14, 0, "SIGMAS"),
        ("latent_image", 5, 0, "LATENT"),
    )
    return {
        **_loaders(preview),
        **_prompts(preview, ("clip", 9, 0, "CLIP")),
        5: Node(kind="EmptyFlux2LatentImage", widgets=_size(preview), outputs=("LATENT",), at=(760, 320)),
        6: Node(kind="SamplerCustomAdvanced", links=sampled, outputs=("LATENT", "LATENT"), at=(1220, 0)),
        **_picture(sampled=6, vae=("vae", 10, 0, "VAE")),
        11: Node(kind="RandomNoise", widgets=(("noise_seed", preview.seed),), outputs=("NOISE",), at=(1000, 320)),
        12: Node(
            kind="CFGGuider",
            links=guider,
            widgets=(("cfg", float(preview.guidance)),),
            outputs=("GUIDER",),
            at=(1000, -160),
        ),
        13: Node(kind="KSamplerSelect", widgets=(("sampler_name", SAMPLER),), outputs=("SAMPLER",), at=(1000, 160)),
        14: Node(kind="Flux2Scheduler", widgets=sizes, outputs=("SIGMAS",), at=(1000, 480)),
    }


def _loaders(preview: Preview) -> Graph:
    """Model with the LoRA (1, 2), text encoders (9) and autoencoder (10) from their own files."""
    encoders = ENCODERS[preview.base]
    names = ("clip_name",) if len(encoders) == 1 else ("clip_name1", "clip_name2")
    kind = {"flux1": "flux", "flux2": "flux2"}.get(
        preview.family, "lumina2"
    )  # Z-Image is of Lumina 2's kind in ComfyUI
    vae = "flux2-vae.safetensors" if preview.family == "flux2" else "ae.safetensors"
    return {
        1: Node(
            kind="UNETLoader",
            widgets=(("unet_name", preview.checkpoint), ("weight_dtype", "default")),
            outputs=("MODEL",),
        ),
        2: Node(
            kind="LoraLoaderModelOnly",
            links=(("model", 1, 0, "MODEL"),),
            widgets=_lora(preview),
            outputs=("MODEL",),
            at=(380, 0),
        ),
        9: Node(
            kind="CLIPLoader" if len(encoders) == 1 else "DualCLIPLoader",
            widgets=(*zip(names, encoders, strict=True), ("type", kind), ("device", "default")),
            outputs=("CLIP",),
            at=(0, 240),
        ),
        10: Node(kind="VAELoader", widgets=(("vae_name", vae),), outputs=("VAE",), at=(0, 480)),
    }


def _lora(preview: Preview) -> tuple[tuple[str, object], ...]:
    return (("lora_name", preview.lora), ("strength_model", float(preview.scale)))


def _size(preview: Preview) -> Size:
    return (("width", preview.width), ("height", preview.height), ("batch_size", 1))


def _prompts(preview: Preview, clip: Link) -> Graph:
    def text(words: str, y: int) -> Node:
        return Node(
            kind="CLIPTextEncode", links=(clip,), widgets=(("text", words),), outputs=("CONDITIONING",), at=(760, y)
        )

    return {3: text(preview.prompt, -160), 4: text(preview.negative, 80)}


def _sampler(preview: Preview, *, positive: int, guidance: float, scheduler: str) -> Node:
    return Node(
        kind="KSampler",
        links=(
            ("model", 2, 0, "MODEL"),
            ("positive", positive, 0, "CONDITIONING"),
            ("negative", 4, 0, "CONDITIONING"),
            ("latent_image", 5, 0, "LATENT"),
        ),
        widgets=(
            ("seed", preview.seed),
            ("steps", preview.steps),
            ("cfg", float(guidance)),
            ("sampler_name", SAMPLER),
            ("scheduler", scheduler),
            ("denoise", 1.0),
        ),
        outputs=("LATENT",),
        at=(1220, 0),
    )


def _picture(*, sampled: int, vae: Link) -> Graph:
    """From latents to a file."""
    return {
        7: Node(kind="VAEDecode", links=(("samples", sampled, 0, "LATENT"), vae), outputs=("IMAGE",), at=(1600, 0)),
        8: Node(
            kind="SaveImage",
            links=(("images", 7, 0, "IMAGE"),),
            widgets=(("filename_prefix", "lorasmith"),),
            at=(1850, 0),
        ),
    }
