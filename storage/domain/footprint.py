"""How much memory a plan takes on a GPU under a fit: an estimate from the full-size shapes of each base, before anything is loaded.

Parameters are counted on the published configurations (`trainer/gpu/shapes.py`), activations on PyTorch's meta device
(`python -m trainer.gpu.counted BASE`, and its peak with the backward pass where that is larger). No figure here was measured on
a GPU yet: `tests/benchmarks/rungs.py` does, and EXPERIMENTS.md has the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from storage.domain.adapters import learning_numbers
from storage.domain.bases import BASES
from storage.domain.caches import latent_bytes, picture_bytes, text_bytes
from storage.domain.fit import Fit, Recomputed, looks_at_once, micro_batch, recomputed
from storage.domain.orders import MAX_PICTURES
from storage.domain.plan import Plan

MIB = float(1 << 20)
GIB = float(1 << 30)


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """One base at full size. Activations are MiB of one picture at the native size, in bf16; the area of a picture counts."""

    denoiser: float
    """Millions of parameters."""
    matrices: float
    """Of these, in linear layers: what can be quantised or left in main memory."""
    encoders: float
    """Millions of parameters of all text encoders."""
    largest: float
    """Of these, in the largest matrix: what there is of streamed encoders at a time."""
    step: Mapping[Recomputed, float]
    forward: float
    """A forward pass without gradients."""


FOOTPRINTS: dict[str, Footprint] = {
    "sd15": Footprint(
        denoiser=859.5,
        matrices=270.0,
        encoders=123.1,
        largest=37.9,
        step={"none": 1314, "half": 819, "all": 376},
        forward=130,
    ),
    "sdxl": Footprint(
        denoiser=2567.5,
        matrices=2232.6,
        encoders=817.7,
        largest=63.2,
        step={"none": 9617, "half": 5370, "all": 824},
        forward=288,
    ),
    "flux1-dev": Footprint(
        denoiser=11901.4,
        matrices=11898.3,
        encoders=4885.0,  # T5-XXL's encoder 4762, CLIP 123
        largest=131.6,
        step={"none": 48365, "half": 25910, "all": 3405},
        forward=767,
    ),
    "flux2-klein-4b": Footprint(
        denoiser=3875.5,
        matrices=3875.5,
        encoders=4022.0,  # Qwen3-4B
        largest=389.0,
        step={"none": 20972, "half": 11308, "all": 2007},
        forward=1346,
    ),
    "flux2-klein-9b": Footprint(
        denoiser=9078.6,
        matrices=9078.6,
        encoders=8191.0,  # Qwen3-8B
        largest=622.3,
        step={"none": 36069, "half": 19871, "all": 2925},
        forward=1792,
    ),
    "z-image": Footprint(
        denoiser=6154.9,
        matrices=6153.9,
        encoders=4022.0,  # Qwen3-4B
        largest=389.0,
        step={"none": 46894, "half": 25440, "all": 2587},
        forward=718,
    ),
}
VAE_MILLIONS = 83.7
"""Of SD's, SDXL's, FLUX's: one architecture in several widths of latent. It is in fp32."""
DECODE_MIB = 3077.0
"""Of a square of 1024 px through that autoencoder in fp32, counted; a tile of 512 px takes a quarter, encoding a little less."""
BITS: Mapping[str, float] = {"none": 16.0, "int8": 8.02, "nf4": 4.127}
"""Of one number of a matrix: 8 bits and a scale of 32 for every row; 4 bits, a scale of 8 for every 64 and for every 256 of these
one of 32 (Dettmers et al. 2023, arXiv 2305.14314, section 3, "Double Quantization")."""
KEPT_BY_INT8 = 1.25
"""Over the activations of a whole base: bitsandbytes' 8-bit layers keep their input too. An estimate."""
OPTIMISER_BYTES: Mapping[str, int] = {"adamw": 8, "adamw8bit": 2, "prodigy": 16}
"""Of state for each number that learns: two moments in fp32, in 8 bits, or two moments, a sum and the start."""
CONTEXT_GIB = 0.6
"""CUDA's own: kernels, cuBLAS and cuDNN workspaces. An estimate."""
SLACK = 0.06
"""Of a card: lost between blocks of the allocator, or to a desktop."""


@dataclass(frozen=True, kw_only=True)
class Peak:
    """GiB on the GPU."""

    resident: float
    """What is always there: base, autoencoder, adapter, its optimiser, and encoded texts where they are kept in memory."""
    step: float
    """On top, while learning; the others while drawing and while encoding."""
    draw: float
    encode: float

    @property
    def gib(self) -> float:
        """The most that is there at a time."""
        return self.resident + max(self.step, self.draw, self.encode)


def usable_gib(memory_gib: float) -> float:
    """What PyTorch can give out of a card of this size."""
    return memory_gib * (1 - SLACK) - CONTEXT_GIB


def peak(plan: Plan, fit: Fit, pictures: int = MAX_PICTURES) -> Peak | None:
    """The estimate; None for a base without published sizes (the pocket: a few hundred MiB)."""
    size = FOOTPRINTS.get(plan.base)
    if size is None:
        return None
    wide = 2.0 if fit.precision == "fp32" else 1.0
    area = (plan.resolution / BASES[plan.base].native_px) ** 2
    kept = KEPT_BY_INT8 if fit.quantised == "int8" else 1.0
    step = size.step[recomputed(fit, (), 0)] * micro_batch(fit, (), 0) * kept
    guided = 2 if plan.guidance > 1 and plan.base != "flux1-dev" else 1
    forward = size.forward * guided * looks_at_once(fit.looks_at_once or 1, (), 0)
    decode = DECODE_MIB * (0.25 if fit.vae_tiles else (plan.resolution / 1024) ** 2)
    texts = text_bytes(plan, pictures, _number_bytes(fit)) if fit.caches == "memory" else 0
    coming = size.largest if fit.encoders == "streamed" else 0.0
    return Peak(
        resident=_base_gib(size, fit, wide) + _learner_gib(plan) + texts / GIB,
        step=step * area * wide * MIB / GIB,
        draw=max(forward * area * wide, decode) * MIB / GIB,
        encode=max(coming * 1e6 * 2 * wide, decode * MIB) / GIB,
    )


def main_gib(plan: Plan, fit: Fit, pictures: int = MAX_PICTURES) -> float:
    """What lies in main memory: the parts of a base that are left there, decoded pictures, and caches that are kept in memory.

    On a processor that is the whole base, of which the learner's part is too small to count.
    """
    caches = latent_bytes(plan, pictures) if fit.caches == "memory" else 0
    if fit.device == "cpu" and fit.caches == "memory":
        caches += text_bytes(plan, pictures, _number_bytes(fit))
    size = FOOTPRINTS.get(plan.base)
    left = 0.0 if size is None else _left_millions(size, fit) * 1e6 * _number_bytes(fit)
    return (left + picture_bytes(plan, pictures) + caches) / GIB


def _left_millions(size: Footprint, fit: Fit) -> float:
    """Parameters that lie in main memory."""
    if fit.device == "cpu":
        return size.denoiser + size.encoders
    return (size.matrices if fit.offload else 0.0) + (size.encoders if fit.encoders == "streamed" else 0.0)


def _number_bytes(fit: Fit) -> int:
    return 4 if fit.precision == "fp32" else 2


def _base_gib(size: Footprint, fit: Fit, wide: float) -> float:
    """Denoiser, encoders and autoencoder."""
    matrices = 0.0 if fit.offload else size.matrices * BITS[fit.quantised] / 8
    rest = (size.denoiser - size.matrices) * 2
    encoders = 0.0 if fit.encoders == "streamed" else size.encoders * 2
    one = min(200.0, 2 * size.largest) if fit.offload else 0.0  # a matrix on its way, and the next
    return ((matrices + rest + encoders) * wide + one + VAE_MILLIONS * 4) * 1e6 / GIB


def _learner_gib(plan: Plan) -> float:
    """Weights and gradients in fp32, the optimiser's state, the running mean, and the file that previews wear."""
    each = 4 + 4 + OPTIMISER_BYTES[plan.optimizer] + (4 if plan.ema_decay else 0) + 4
    return learning_numbers(plan) * each / GIB
