"""Tags for pictures, for bases that were trained on tags: a WD tagger through onnxruntime (extra `[tags]`).

The files are those of SmilingWolf's taggers (Apache-2.0; https://huggingface.co/SmilingWolf/wd-eva02-large-tagger-v3):
`model.onnx` takes (1, side, side, 3) floats 0..255 in the order blue, green, red, over white and square, and gives one
probability a row of `selected_tags.csv` (`name`, and `category`: 0 general, 4 characters, 9 ratings).
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from storage.domain.captions import unwanted
from storage.domain.orders import SubjectType

THRESHOLD = 0.35
"""Probability from which a tag is said: the taggers' own default."""
GENERAL = 0
MOST_TAGS = 40
SMILEYS = 3
"""Tags of at most so many characters are faces such as `^_^`: their underscores stay."""


class Tagger:
    """One loaded tagger; it computes on the CPU, a picture at a time."""

    def __init__(self, folder: Path) -> None:
        """Raises `OSError` where the files or onnxruntime are not there, or do not belong together."""
        try:
            import onnxruntime  # noqa: PLC0415  # an optional extra
        except ImportError as error:
            raise OSError("tags need onnxruntime: install lorasmith[tags]") from error
        self._names, self._general = _tags(folder / "selected_tags.csv")
        if not (folder / "model.onnx").is_file():
            raise OSError("there is no model.onnx")
        try:
            self._session: Any = onnxruntime.InferenceSession(
                str(folder / "model.onnx"), providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime raises errors of its own making
            raise OSError(f"model.onnx cannot be used: {type(error).__name__}") from error
        self._input = self._session.get_inputs()[0]
        side = self._input.shape[1]
        if len(self._input.shape) != 4 or not isinstance(side, int) or not 16 <= side <= 1024:
            raise OSError("model.onnx is no tagger: it takes no square pictures")
        self._side = side

    def tags(self, image: Image.Image) -> dict[str, float]:
        """The general tags with at least `THRESHOLD`, likeliest first. Raises `OSError` where model and list do not agree."""
        (probabilities_1T,) = self._session.run(None, {self._input.name: self._pixels(image)})
        values = np.asarray(probabilities_1T, dtype=np.float32).reshape(-1)
        if len(values) != len(self._names):
            raise OSError("model.onnx and selected_tags.csv are not of one tagger")
        found = {
            name: float(p)
            for name, general, p in zip(self._names, self._general, values, strict=True)
            if general and p >= THRESHOLD
        }
        return dict(sorted(found.items(), key=lambda item: -item[1])[:MOST_TAGS])

    def say(self, image: Image.Image, ask: str) -> str:  # noqa: ARG002  # a tagger cannot be asked
        """The tags in a row."""
        return ", ".join(self.tags(image))

    def _pixels(self, image: Image.Image) -> npt.NDArray[np.float32]:
        """(1, side, side, 3), blue first, padded to a square with white."""
        square = Image.new("RGB", (max(image.size),) * 2, "white")
        square.paste(image, ((square.width - image.width) // 2, (square.height - image.height) // 2))
        small = square.resize((self._side, self._side), Image.Resampling.BICUBIC)
        return np.ascontiguousarray(np.asarray(small, dtype=np.float32)[None, :, :, ::-1])


def tags_of(tagger: Tagger, image: Image.Image, subject: SubjectType) -> str:
    """The tags as a caption, without those that say what is to be learned."""
    return ", ".join(tag for tag in tagger.tags(image) if not unwanted(tag, subject))


def _tags(path: Path) -> tuple[list[str], list[bool]]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"name", "category"} <= rows[0].keys():
        raise OSError("selected_tags.csv has no names and categories")
    names = [r["name"] if len(r["name"]) <= SMILEYS else r["name"].replace("_", " ") for r in rows]
    return names, [r["category"] == str(GENERAL) for r in rows]
