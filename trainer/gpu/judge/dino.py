"""An eye for things and characters: DINOv2, which was trained on pictures alone and tells apart what words do not.

DreamBooth measures its subjects so: cosines between a ViT's [CLS] of DINO differ between two dogs, CLIP's hardly do (Ruiz et al.
2023, arXiv 2208.12242, section 4.1). DINOv2: Oquab et al. 2023, arXiv 2304.07193.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize
from transformers import Dinov2Model

from trainer.gpu.judge.eye import AT_ONCE, normalisation, size_of, squared

DINOV2 = "dinov2"
PATCHES = 16
"""A side: 224 px of patches of 14, as its own processor cuts them."""
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's, where the folder names none."""


class Dino:
    """One loaded DINOv2."""

    def __init__(self, folder: Path) -> None:
        """Raises `OSError` where there is no such model."""
        self._model = Dinov2Model.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, local_files_only=True
        )
        self._model.eval().requires_grad_(requires_grad=False)
        self._px = PATCHES * int(self._model.config.patch_size)
        self._mean_311, self._std_311 = normalisation(folder, _MEAN, _STD)
        self._device = torch.device("cpu")

    @torch.no_grad()
    def look(self, images: Sequence[Image.Image]) -> dict[str, Tensor]:
        """Of the whole picture: its class token behind the last norm."""
        found = []
        for at in range(0, len(images), AT_ONCE):
            pixels = torch.stack([squared(image, self._px) for image in images[at : at + AT_ONCE]])
            seen = self._model(pixel_values=((pixels - self._mean_311) / self._std_311).to(self._device))
            found.append(seen.last_hidden_state[:, 0])
        return {DINOV2: normalize(torch.cat(found).float(), dim=-1).cpu()}

    def travel(self, device: torch.device) -> None:
        """To where it computes."""
        self._model.to(device)
        self._device = device

    @property
    def bytes(self) -> int:
        """Of its weights."""
        return size_of(self._model)
