"""Gradient checkpointing of all blocks of a denoiser, or of every second one.

A block that is computed again keeps only what goes into it, and costs one more forward pass (Chen et al. 2016, arXiv 1604.06174,
section 3). Of every second block the other half is kept: half the extra time for about half of the gain.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint

from storage.domain.fit import Recomputed


def recompute(denoiser: nn.Module, how: Recomputed) -> None:
    """Sets which blocks of the denoiser are computed again in the backward pass, from the next step on."""
    model: Any = denoiser  # diffusers ships no types
    if how == "none":
        model.disable_gradient_checkpointing()
    else:
        denoiser.train()
        model.enable_gradient_checkpointing(_every(2 if how == "half" else 1))


def _every(nth: int) -> Callable[..., Any]:
    """Of the blocks, numbered as they are first called, each `nth` is computed again."""
    numbers: dict[int, int] = {}

    def called(block: nn.Module, *inputs: Any) -> Any:  # noqa: ANN401 -- whatever a block takes and gives
        if numbers.setdefault(id(block), len(numbers)) % nth:
            return block(*inputs)
        return checkpoint(block.__call__, *inputs, use_reentrant=False)

    return called
