"""The families of base models that can be trained, by the name in a plan."""

from collections.abc import Callable

from storage.domain.plan import Fit
from trainer.gpu.families.family import Base, Drawing, Targets, Teachable, Words, Worn, adapted, stacked, teachable
from trainer.gpu.families.flux import Flux
from trainer.gpu.families.flux2 import Flux2Klein
from trainer.gpu.families.sd15 import Sd15
from trainer.gpu.families.sdxl import Sdxl
from trainer.gpu.families.zimage import ZImage

FAMILIES: dict[str, Callable[[str, Fit], Base]] = {
    "pocket": lambda source, fit: Sdxl(source, fit, squares_only=True),
    "sd15": Sd15,
    "sdxl": Sdxl,
    "flux1-dev": Flux,
    "flux2-klein-4b": Flux2Klein,
    "flux2-klein-9b": Flux2Klein,
    "z-image": ZImage,
}
"""Name of a base in `Plan.base` -> what loads it from a folder or hub id."""

__all__ = [
    "FAMILIES",
    "Base",
    "Drawing",
    "Sd15",
    "Sdxl",
    "Targets",
    "Teachable",
    "Words",
    "Worn",
    "adapted",
    "stacked",
    "teachable",
]
