"""Which architecture a file is for: what its header says, held against its names and the shapes of its tensors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache

from storage.lora_file.architectures import ARCHITECTURES, name_in_header
from storage.lora_file.inventory import Inventory, Module
from storage.lora_file.spelling import Slots, map_of, meanings

_WORDS = {
    "unet": ("lora_unet_", "unet.", "diffusion_model.", "lycoris_"),
    "transformer": ("transformer.", "lora_transformer_"),
    "text_encoder": ("lora_te_", "lora_te1_", "text_encoder."),
    "text_encoder_2": ("lora_te2_", "text_encoder_2."),
}


def family_of(metadata: Mapping[str, str], inventory: Inventory) -> str | None:
    """The architecture, or None: of those that most modules fit, the one that the header says, else the first."""
    fitting = families_of(inventory)
    said = name_in_header(metadata)
    return said if said in fitting else next(iter(fitting), None)


def families_of(inventory: Inventory) -> tuple[str, ...]:
    """The architectures that names and shapes fit best; several where a file has only what they share.

    Half of the names must be known and no more than a tenth of the shapes contradict.
    """
    scores: dict[str, int] = {}
    for name in ARCHITECTURES:
        known = sum(base in all_names(name) for base in inventory.modules)
        wrong = len(wrong_shapes(name, inventory))
        if known * 2 >= max(1, len(inventory.modules)) and wrong * 10 <= known:
            scores[name] = sum(base in meanings(name) for base in inventory.modules) - wrong
    # A tool's list may hold more than its model has: ComfyUI's of FLUX.1 has FLUX.2's names too. So what has a shape counts.
    best = max(scores.values(), default=0)
    return tuple(name for name, score in scores.items() if score == best)


@cache
def all_names(name: str) -> frozenset[str]:
    """Every spelling of every module that some tool accepts, or that we can read."""
    return map_of(name).names() | meanings(name).keys()


def wrong_shapes(name: str, inventory: Inventory) -> list[str]:
    """Modules whose matrices do not fit the weight that their name means."""
    known = meanings(name)
    return [base for base, module in inventory.modules.items() if base in known and not fits(module, known[base])]


def fits(module: Module, slots: Slots) -> bool:
    """A down matrix is (rank, in, ...), an up matrix (out, rank, ...) of a weight (out, in, ...)."""
    down, up = module.parts.get("down"), module.parts.get("up")
    rows = sum(slot.shape[0] for slot in slots)
    down_fits = down is None or (len(down.shape) >= 2 and down.shape[1] == slots[0].shape[1])
    return down_fits and (up is None or (len(up.shape) >= 2 and up.shape[0] == rows))


def components_of(bases: Iterable[str], family: str | None) -> dict[str, int]:
    """How many modules point to each component; "other" where a name says nothing."""
    known = meanings(family) if family is not None else {}
    return dict(Counter(known[base][0].component if base in known else _by_prefix(base) for base in bases))


def _by_prefix(base: str) -> str:
    for part, beginnings in reversed(_WORDS.items()):  # text_encoder_2 before text_encoder
        if base.startswith(beginnings):
            return part
    return "other"
