"""The judge's first eye: a CLIP that turns pictures and texts into directions that can be compared.

Of the models with a text half CLIP and not SigLIP: one class serves the pocket's own judge, OpenAI's and LAION's weights, and the
text-image scores of other projects are CLIP's, so that numbers can be laid side by side.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize
from transformers import CLIPModel, CLIPTokenizer

from trainer.gpu.judge.sight import CLIP, STYLE

_HALF = (0.5, 0.5, 0.5)
"""Mean and deviation where the model names none: pixels in -1..1, as the pocket's judge was trained."""
AT_ONCE = 16
"""Pictures a forward pass: a set of hundreds must not fill the memory."""
DEPTH = 0.75
"""Where in the network style is read. Measured with the pocket's judge on 20 drawn styles (EXPERIMENTS.md, "An eye for styles")."""


class Encoder(Protocol):
    """An eye. Embeddings have length 1, so their product is the cosine of the angle between them."""

    def look(self, images: Sequence[Image.Image]) -> dict[str, Tensor]:
        """(pictures, width) in main memory, under the name of each thing that it looks for."""

    def travel(self, device: torch.device) -> None:
        """To where it computes."""

    @property
    def bytes(self) -> int:
        """What it takes there."""


class Eye:
    """One loaded CLIP: what pictures show, and how they are drawn."""

    def __init__(self, folder: Path, tokenizer: Path, device: torch.device) -> None:
        """Raises `OSError` where there is no such model."""
        self._model = CLIPModel.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, local_files_only=True
        )
        self._model.eval().requires_grad_(requires_grad=False).to(device)
        self._tokenizer = CLIPTokenizer.from_pretrained(tokenizer, local_files_only=True)
        self._px = int(self._model.config.vision_config.image_size)
        self._tokens = int(self._model.config.text_config.max_position_embeddings)
        self._layer = round(DEPTH * int(self._model.config.vision_config.num_hidden_layers))
        self._mean_311, self._std_311 = normalisation(folder, _HALF, _HALF)
        self._device = device

    def pictures(self, images: Sequence[Image.Image]) -> Tensor:
        """(pictures, width)."""
        return self.look(images)[CLIP]

    @torch.no_grad()
    def look(self, images: Sequence[Image.Image]) -> dict[str, Tensor]:
        """What a picture shows, and its style: how much each feature varies over it, whatever it shows.

        Style as statistics of features: Huang and Belongie 2017, arXiv 1703.06868, section 5 (their deviations alone).
        """
        found: dict[str, list[Tensor]] = {CLIP: [], STYLE: []}
        for at in range(0, len(images), AT_ONCE):
            pixels = torch.stack([self._pixels(image) for image in images[at : at + AT_ONCE]]).to(self._device)
            seen = self._model.vision_model(pixel_values=pixels, output_hidden_states=True)
            found[CLIP].append(self._model.visual_projection(seen.pooler_output))
            found[STYLE].append(seen.hidden_states[self._layer][:, 1:].std(dim=1))
        return {name: normalize(torch.cat(parts).float(), dim=-1).cpu() for name, parts in found.items()}

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> Tensor:
        """(texts, width)."""
        tokens = self._tokenizer(
            list(texts), padding="max_length", truncation=True, max_length=self._tokens, return_tensors="pt"
        )
        read = self._model.text_model(input_ids=tokens.input_ids.to(self._device))
        return normalize(self._model.text_projection(read.pooler_output).float(), dim=-1).cpu()

    def travel(self, device: torch.device) -> None:
        """To where it computes."""
        self._model.to(device)
        self._device = device

    @property
    def bytes(self) -> int:
        """Of its weights."""
        return size_of(self._model)

    def _pixels(self, image: Image.Image) -> Tensor:
        return (squared(image, self._px) - self._mean_311) / self._std_311


def squared(image: Image.Image, px: int) -> Tensor:
    """The middle square of a picture, resized: (3, px, px) in 0..1."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.convert("RGB").crop((left, top, left + side, top + side))
    if square.width != px:
        square = square.resize((px, px), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.asarray(square, dtype=np.float32).copy()).permute(2, 0, 1) / 255.0


def normalisation(folder: Path, mean: Sequence[float], std: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Mean and deviation of the pixels that a model was trained with: (3, 1, 1) each; those given where its folder names none."""
    file = folder / "preprocessor_config.json"
    named = json.loads(file.read_text()) if file.is_file() else {}
    mean_3, std_3 = (torch.tensor(named.get(name, usual)) for name, usual in (("image_mean", mean), ("image_std", std)))
    return mean_3.view(3, 1, 1), std_3.view(3, 1, 1)


def size_of(model: torch.nn.Module) -> int:
    """Bytes of a model's weights."""
    return sum(p.numel() * p.element_size() for p in model.parameters())


def eye_of(base: str, device: torch.device) -> Eye | None:
    """The judge that lies beside a base model, or None."""
    folder = Path(base) / "judge"
    if not (folder / "config.json").is_file():
        return None
    own = folder / "tokenizer_config.json"
    return Eye(folder, folder if own.is_file() else Path(base) / "tokenizer", device)
