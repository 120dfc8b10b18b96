"""Where the parts of a base lie: on the device, quantised on it, or in main memory from where each matrix comes for its use.

A matrix that comes for its use gives the same numbers: only time is lost. Weights are frozen, so its backward pass needs the
matrix once more and nothing else.
"""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from torch.nn import functional

from storage.domain.fit import Fit, Quantised

LEAST_NUMBERS = 1 << 14
"""Smaller matrices stay on the device: fetching them takes longer than they take room."""
THRESHOLD = 6.0
"""Columns of inputs beyond this are not rounded to 8 bits (Dettmers et al. 2022, arXiv 2208.07339, section 3.2)."""


class CannotQuantise(OSError):
    """The base is to be quantised where that does not work. The message may be shown."""


def place(pipeline: Any, fit: Fit, denoiser: str) -> None:  # noqa: ANN401 -- diffusers ships no types
    """Every part of a pipeline where the fit says. `denoiser` is its name there. Raises `CannotQuantise`."""
    device = torch.device(fit.device)
    if fit.quantised != "none" and device.type != "cuda":
        raise CannotQuantise(f"a base quantised to {fit.quantised} needs a CUDA GPU, and this is {device.type}")
    for name, part in pipeline.components.items():
        if not isinstance(part, nn.Module):
            continue
        if name == denoiser and fit.quantised != "none":
            quantise(part, fit.quantised)
        if (name == denoiser and fit.offload) or (name.startswith("text_encoder") and fit.encoders == "streamed"):
            stream(part, device)
        else:
            part.to(device)


def stream(module: nn.Module, device: torch.device) -> None:
    """Leaves the large matrices and tables of a module in main memory; all else, adapters too, goes to the device."""
    for part in module.modules():
        if type(part) in _STREAMED:
            _leave(part, device)
        _rest_to(part, device)


def _leave(layer: Any, device: torch.device) -> None:  # noqa: ANN401 -- a linear layer or a table
    """Matrices that learn are an adapter's, and stay where they are used."""
    if layer.weight.numel() >= LEAST_NUMBERS and not layer.weight.requires_grad:
        layer.__class__ = _STREAMED[type(layer)]
        layer.weight.data = _kept(layer.weight.data, device)
        layer.where = device


def streams(module: nn.Module) -> bool:
    """Whether matrices of it lie in main memory."""
    return any(isinstance(part, StreamedLinear) for part in module.modules())


def follow(module: nn.Module) -> None:
    """Adapters on streamed matrices go where these are used: peft puts them where they lie."""
    for layer in module.modules():
        if isinstance(layer, LoraLayer) and isinstance(layer.get_base_layer(), StreamedLinear):
            for side in (layer.lora_A, layer.lora_B):
                side.to(layer.get_base_layer().where)


def quantise(denoiser: nn.Module, how: Quantised) -> None:
    """Puts bitsandbytes' layers in the place of linear ones, over the same weights: they are rounded as they reach the GPU.

    nf4 computes in bf16 and rounds its scales again (Dettmers et al. 2023, arXiv 2305.14314, section 3). It is what diffusers'
    `BitsAndBytesConfig` does while loading, done after it, so that single files and folders of all families are served alike.
    """
    import bitsandbytes as bnb  # noqa: PLC0415 -- an extra of the package: lorasmith[small]

    for path, layer in list(denoiser.named_modules()):
        if type(layer) is not nn.Linear or layer.weight.numel() < LEAST_NUMBERS:
            continue
        sizes: dict[str, Any] = {"bias": layer.bias is not None, "device": "meta"}
        small: nn.Module
        if how == "int8":
            small = bnb.nn.Linear8bitLt(
                layer.in_features, layer.out_features, has_fp16_weights=False, threshold=THRESHOLD, **sizes
            )
            small.weight = bnb.nn.Int8Params(layer.weight.data, requires_grad=False, has_fp16_weights=False)
        else:
            small = bnb.nn.Linear4bit(
                layer.in_features, layer.out_features, compute_dtype=torch.bfloat16, quant_type="nf4", **sizes
            )
            small.weight = bnb.nn.Params4bit(layer.weight.data, requires_grad=False, quant_type="nf4")
        small.bias = layer.bias
        denoiser.set_submodule(path, small)


def shared(module: nn.Module) -> dict[int, Any]:
    """What a copy of a module is to share with it, by id: weights and buffers, and how quantised ones are read."""
    found: dict[int, Any] = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    for part in module.modules():
        for name in ("state", "quant_state"):
            state = part.__dict__.get(name)
            if state is not None and type(part).__module__.startswith("bitsandbytes"):
                found[id(state)] = state
    return found


def tile(vae: Any) -> None:  # noqa: ANN401 -- diffusers ships no types
    """Encodes and decodes in tiles of half the autoencoder's native side, blended where they meet."""
    vae.enable_tiling()
    vae.tile_sample_min_size = max(1, vae.config.sample_size // 2)
    vae.tile_latent_min_size = max(1, vae.tile_sample_min_size // 2 ** (len(vae.config.block_out_channels) - 1))


def untile(vae: Any) -> None:  # noqa: ANN401 -- diffusers ships no types
    """Whole again."""
    vae.disable_tiling()


class _Come(torch.autograd.Function):
    """x W^T + b with W in main memory; only x gets a gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # noqa: ANN401 -- torch's own
        ctx.weight = weight
        return functional.linear(x, weight.to(x.device, non_blocking=True), bias)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401 -- torch's own
        return grads[0] @ ctx.weight.to(grads[0].device, non_blocking=True), None, None


class StreamedLinear(nn.Linear):
    """A frozen linear layer whose matrix comes for its use."""

    where: torch.device

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 -- torch's name
        bias = None if self.bias is None else self.bias.to(input.device)
        out: Tensor = _Come.apply(input, self.weight, bias)
        return out


class StreamedEmbedding(nn.Embedding):
    """A frozen table that is looked up where it lies."""

    where: torch.device

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 -- torch's name
        return super().forward(input.to(self.weight.device)).to(self.where)


_STREAMED: dict[type[nn.Module], type[nn.Module]] = {
    nn.Linear: StreamedLinear,
    nn.Embedding: StreamedEmbedding,
}


def _kept(weight: Tensor, device: torch.device) -> Tensor:
    """In main memory; pages that stay there come to a GPU at the full speed of its bus."""
    there = weight.cpu()
    return there.pin_memory() if device.type == "cuda" else there


def _rest_to(part: nn.Module, device: torch.device) -> None:
    for name, tensor in (*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)):
        if not (isinstance(part, StreamedLinear | StreamedEmbedding) and name == "weight"):
            tensor.data = tensor.data.to(device)
