"""The judge's eye: a CLIP that turns pictures and texts into directions that can be compared."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize
from transformers import CLIPModel, CLIPTokenizer

_HALF = (0.5, 0.5, 0.5)
"""Mean and deviation where the model names none: pixels in -1..1, as the pocket's judge was trained."""


class Eye:
    """One loaded CLIP. Embeddings have length 1, so their product is the cosine of the angle between them."""

    def __init__(self, folder: Path, tokenizer: Path, device: torch.device) -> None:
        """Raises `OSError` where there is no such model."""
        self._model = CLIPModel.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, local_files_only=True
        )
        self._model.eval().requires_grad_(requires_grad=False).to(device)
        self._tokenizer = CLIPTokenizer.from_pretrained(tokenizer, local_files_only=True)
        self._px = int(self._model.config.vision_config.image_size)
        self._tokens = int(self._model.config.text_config.max_position_embeddings)
        self._mean_311, self._std_311 = _normalisation(folder)
        self._device = device

    @torch.no_grad()
    def pictures(self, images: Sequence[Image.Image]) -> Tensor:
        """(pictures, width)."""
        pixels = torch.stack([self._pixels(image) for image in images]).to(self._device)
        seen = self._model.vision_model(pixel_values=pixels)
        return normalize(self._model.visual_projection(seen.pooler_output).float(), dim=-1).cpu()

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> Tensor:
        """(texts, width)."""
        tokens = self._tokenizer(
            list(texts), padding="max_length", truncation=True, max_length=self._tokens, return_tensors="pt"
        )
        read = self._model.text_model(input_ids=tokens.input_ids.to(self._device))
        return normalize(self._model.text_projection(read.pooler_output).float(), dim=-1).cpu()

    def _pixels(self, image: Image.Image) -> Tensor:
        """Cut to a square, resized, normalised as the model was trained."""
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        square = image.convert("RGB").crop((left, top, left + side, top + side))
        if square.width != self._px:
            square = square.resize((self._px, self._px), Image.Resampling.BICUBIC)
        values_3HW = torch.from_numpy(np.asarray(square, dtype=np.float32).copy()).permute(2, 0, 1) / 255.0
        return (values_3HW - self._mean_311) / self._std_311


def _normalisation(folder: Path) -> tuple[Tensor, Tensor]:
    file = folder / "preprocessor_config.json"
    named = json.loads(file.read_text()) if file.is_file() else {}
    mean_3, std_3 = (torch.tensor(named.get(name, _HALF)) for name in ("image_mean", "image_std"))
    return mean_3.view(3, 1, 1), std_3.view(3, 1, 1)


def eye_of(base: str, device: torch.device) -> Eye | None:
    """The judge that lies beside a base model, or None: then only losses are measured."""
    folder = Path(base) / "judge"
    if not (folder / "config.json").is_file():
        return None
    own = folder / "tokenizer_config.json"
    return Eye(folder, folder if own.is_file() else Path(base) / "tokenizer", device)
