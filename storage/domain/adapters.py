"""How many layers and numbers a LoRA has, counted on the published shapes.

`tests/trainer/gpu/test_counted.py` counts them again, the pocket's on its weights, and writes the files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from storage.domain.plan import Plan


@dataclass(frozen=True)
class Layers:
    """Those that a LoRA is on."""

    count: int
    numbers: int
    """That one rank adds: inputs and outputs of each, times the kernel's area for convolutions."""

    def __add__(self, other: Layers) -> Layers:
        return Layers(self.count + other.count, self.numbers + other.numbers)


@dataclass(frozen=True, kw_only=True)
class Adapted:
    """Layers by `Plan.targets`."""

    denoiser: Mapping[str, Layers]
    words: Mapping[str, Layers] | None = None
    """In the text encoders, where they learn too; None where they cannot."""


ADAPTED: dict[str, Adapted] = {
    "pocket": Adapted(
        denoiser={
            "attention": Layers(56, 13_888),
            "attention+ff": Layers(84, 28_288),
            "attention+ff+conv": Layers(114, 57_408),
        },
        words={
            "attention": Layers(20, 3_840),
            "attention+ff": Layers(30, 8_640),
            "attention+ff+conv": Layers(30, 8_640),
        },
    ),
    "sd15": Adapted(
        denoiser={
            "attention": Layers(128, 199_296),
            "attention+ff": Layers(192, 423_936),
            "attention+ff+conv": Layers(250, 948_096),
        },
        words={
            "attention": Layers(48, 73_728),
            "attention+ff": Layers(72, 165_888),
            "attention+ff+conv": Layers(72, 165_888),
        },
    ),
    "sdxl": Adapted(
        denoiser={
            "attention": Layers(560, 1_451_520),
            "attention+ff": Layers(722, 2_659_840),
            "attention+ff+conv": Layers(767, 3_009_920),
        },
        words={
            "attention": Layers(172, 395_264),
            "attention+ff": Layers(258, 889_344),
            "attention+ff+conv": Layers(258, 889_344),
        },
    ),
    "flux1-dev": Adapted(denoiser={"attention": Layers(266, 1_634_304), "attention+ff": Layers(418, 4_085_760)}),
    "flux2-klein-4b": Adapted(denoiser={"attention": Layers(80, 1_167_360), "attention+ff": Layers(100, 1_505_280)}),
    "flux2-klein-9b": Adapted(denoiser={"attention": Layers(112, 1_998_848), "attention+ff": Layers(144, 2_719_744)}),
    "z-image": Adapted(denoiser={"attention": Layers(136, 1_044_480), "attention+ff": Layers(238, 2_480_640)}),
}


def layers(plan: Plan) -> Layers:
    """Those of a plan's adapter. Raises `KeyError` for a base that is not known or has no such targets."""
    adapted = ADAPTED[plan.base]
    denoiser = adapted.denoiser[plan.targets]
    return denoiser + adapted.words[plan.targets] if adapted.words and plan.text_encoder_rate else denoiser


def learning_numbers(plan: Plan) -> int:
    """Numbers that the adapter of a plan has."""
    return layers(plan).numbers * plan.rank
