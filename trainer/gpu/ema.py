"""A running mean of the adapter: calmer than its last step, and what is exported where a plan asks for it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def decay_at(step: int, most: float) -> float:
    """Weight of the past at the update after `step`: it rises from 2/11, so that the first weights are soon forgotten.

    min(decay, (1 + n) / (10 + n)) is the ramp of TensorFlow's ExponentialMovingAverage
    (tensorflow.org/api_docs/python/tf/train/ExponentialMovingAverage).
    """
    return min(most, (1 + step) / (10 + step))


class Average:
    """m <- d m + (1 - d) w after every step (Polyak and Juditsky 1992; the exponential form as in arXiv 1412.6980, section 7.2)."""

    def __init__(self, parameters: Mapping[str, nn.Parameter], decay: float) -> None:
        """Starts at the parameters as they are."""
        self._parameters, self._decay = parameters, decay
        self.tensors: dict[str, Tensor] = {name: p.detach().clone() for name, p in parameters.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """After `step`, counted from 1."""
        share = 1.0 - decay_at(step, self._decay)
        for name, parameter in self._parameters.items():
            self.tensors[name].lerp_(parameter, share)

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Sets the mean. Raises `KeyError` or `ValueError` where names or shapes do not fit."""
        for name, mean in self.tensors.items():
            if tensors[name].shape != mean.shape:
                raise ValueError(f"{name} has another shape")
            mean.copy_(tensors[name])
