"""What tells one set of text encoders from another, without reading all of their gigabytes."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import torch
from torch import Tensor, nn

SAMPLED = 64
"""Values of every weight, evenly spaced: whoever trains an encoder further moves nearly all of them, and hashing the 9 GB of
FLUX.1's takes longer than encoding an order's texts."""
_PARTS = ("text_encoder", "text_encoder_2")
_TOKENIZERS = ("tokenizer", "tokenizer_2")


def of_encoders(pipeline: Any) -> str:  # noqa: ANN401 -- diffusers ships no types
    """SHA-256 of everything that decides what a text becomes: encoders as loaded, tokenizers, and the empty text's rule."""
    digest = hashlib.sha256(repr(pipeline.config.get("force_zeros_for_empty_prompt")).encode())
    for name in _PARTS:
        encoder = getattr(pipeline, name, None)
        weights = sorted(encoder.state_dict().items()) if encoder is not None else []
        for key, value in weights:
            digest.update(f"{name}/{key}/{value.dtype}/{tuple(value.shape)}".encode())
            digest.update(_sample(value))
    for name in _TOKENIZERS:
        tokenizer = getattr(pipeline, name, None)
        if tokenizer is not None:
            told = [sorted(tokenizer.get_vocab().items()), tokenizer.chat_template, tokenizer.model_max_length]
            digest.update(json.dumps(told).encode())
    return digest.hexdigest()


def of_module(module: nn.Module) -> str:
    """SHA-256 of a module's weights, sampled as the encoders' are."""
    digest = hashlib.sha256()
    for key, value in sorted(module.state_dict().items()):
        digest.update(f"{key}/{value.dtype}/{tuple(value.shape)}".encode())
        digest.update(_sample(value))
    return digest.hexdigest()


def _sample(value: Tensor) -> bytes:
    flat = value.detach().flatten()
    places = torch.linspace(0, max(0, len(flat) - 1), min(SAMPLED, len(flat)), dtype=torch.float64).long()
    return flat[places.to(flat.device)].cpu().to(torch.float64).numpy().tobytes()
