"""Out of memory: what counts as it, and trying again with half."""

from __future__ import annotations

import gc
from collections.abc import Callable

import torch

_SAID = (
    "not enough memory",
    "MPS backend out of memory",
    "CUDA error: out of memory",
    "CUDA driver error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)
"""By torch on the CPU, by Metal, and by CUDA, its driver and cuBLAS where they ask for memory of their own."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out: CUDA's, Metal's, or torch's own on the CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(said in str(error) for said in _SAID)


def free() -> None:
    """Gives back what nobody holds any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()


def halving(most: int, work: Callable[[int], None]) -> None:
    """Runs `work(most)`, and again with half as often as memory runs out; raises that error at one."""
    while True:
        try:
            work(most)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or most == 1:
                raise
        else:
            return
        free()
        most //= 2
