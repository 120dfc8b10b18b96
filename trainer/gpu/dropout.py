"""Dropout on what an adapter sees, drawn anew for every step, view and module, and for nothing else.

So a resumed run leaves out what the uninterrupted one did, however its batches are split, and gradient checkpointing, which
computes a layer twice, sees the same mask twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Draw:
    """What is being computed, shared by all modules of one adapter."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.step = 0
        self.places: tuple[int, ...] = ()
        """Number of each view of the batch within its step; empty where nothing is left out."""

    @contextmanager
    def of(self, step: int, places: Sequence[int]) -> Iterator[None]:
        """Dropout is on for these views, forward and backward."""
        self.step, self.places = step, tuple(places)
        try:
            yield
        finally:
            self.places = ()


class Dropout(nn.Module):
    """Sets a share p of each view's numbers to zero and scales the others up: y = r x / (1 - p), r 0 with chance p, else 1.

    So the mean of y is x, and nothing is scaled when drawing (Srivastava et al. 2014, JMLR 15, section 4; scaled while training
    as in its section 10).
    Where LoRA has it: on the input of A, never on what the base sees
    (https://github.com/microsoft/LoRA/blob/0771c1e30d86035f17cd189878165305cc3a5e33/loralib/layers.py).
    """

    def __init__(self, draw: Draw, *, share: float, path: str) -> None:
        super().__init__()
        self._draw, self._share, self._path = draw, share, path

    def forward(self, x: Tensor) -> Tensor:
        """`x` (B, ...) in training, with B the views of the draw; unchanged elsewhere."""
        if not self._draw.places:
            return x
        if len(x) != len(self._draw.places):
            raise ValueError(f"{self._path}: {len(x)} inputs for {len(self._draw.places)} views")
        kept = torch.stack([self._kept(x[0], place) for place in self._draw.places])
        return x * kept / (1.0 - self._share)

    def _kept(self, like: Tensor, place: int) -> Tensor:
        digest = hashlib.sha256(f"{self._draw.seed}:{self._draw.step}:{place}:{self._path}".encode()).digest()
        generator = torch.Generator(like.device).manual_seed(int.from_bytes(digest[:8], "big") >> 1)
        return torch.rand(like.shape, generator=generator, device=like.device) >= self._share
