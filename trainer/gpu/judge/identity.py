"""An eye for persons: whose face it is. YuNet's five points lay a face straight, SFace knows it again; by onnxruntime, on the CPU.

SFace: Zhong et al. 2021, arXiv 2205.12010. The template, its size and the order of colours are those of OpenCV's FaceRecognizerSF
(https://github.com/opencv/opencv/blob/0692bb41f5afd79dd8c0d943ddf42a0b87397ab8/modules/objdetect/src/face_recognize.cpp).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

from trainer.gpu.faces import MOST_BYTES, Faces, Floats

FACE = "face"
PX = 112
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]],
    dtype=np.float32,
)
"""Where eyes, nose and mouth lie in the square that the model knows, in px."""


class Identity:
    """One loaded face embedding with its detector."""

    def __init__(self, file: Path, detector: Path) -> None:
        """Raises `OSError` where a file or onnxruntime is not there, or it is no such model."""
        self._faces = Faces(detector)
        if not self._faces.points_out:
            raise OSError(f"{detector.name} does not say where eyes and mouth are")
        import onnxruntime  # noqa: PLC0415  # an optional extra; the detector needed it too

        if not file.is_file() or file.stat().st_size > MOST_BYTES:
            raise OSError(f"there is no face embedding {file.name}")
        try:
            self._session: Any = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises errors of its own making
            raise OSError(f"{file.name} cannot be used: {type(error).__name__}") from error
        (taken,), (given, *_) = self._session.get_inputs(), self._session.get_outputs()
        if list(taken.shape[1:]) != [3, PX, PX] or not isinstance(given.shape[-1], int):
            raise OSError(f"{file.name} is no face embedding: it takes no squares of {PX} px")
        self._input, self._width = taken.name, given.shape[-1]

    def look(self, images: Sequence[Image.Image]) -> dict[str, Tensor]:
        """Of the largest face of each picture; zeros without one."""
        return {FACE: normalize(torch.stack([self._one(image.convert("RGB")) for image in images]), dim=-1)}

    def travel(self, device: torch.device) -> None:
        """It stays where it is: a face takes milliseconds."""

    @property
    def bytes(self) -> int:
        """Nothing on a GPU."""
        return 0

    def _one(self, image: Image.Image) -> Tensor:
        points_52 = self._faces.points(image)
        if points_52 is None:
            return torch.zeros(self._width)
        pixels_HWC = np.asarray(straightened(image, points_52), dtype=np.float32)
        (said,) = self._session.run(None, {self._input: np.ascontiguousarray(pixels_HWC.transpose(2, 0, 1)[None])})[:1]
        return torch.from_numpy(np.asarray(said, dtype=np.float32).reshape(-1))


def straightened(image: Image.Image, points_52: Floats) -> Image.Image:
    """The face turned, scaled and moved onto the template: (PX, PX)."""
    a, b, x, y = similarity(TEMPLATE, points_52)
    return image.transform((PX, PX), Image.Transform.AFFINE, (a, -b, x, b, a, y), resample=Image.Resampling.BILINEAR)


def similarity(source_52: Floats, target_52: Floats) -> tuple[float, float, float, float]:
    """(a, b, x, y) of the map p -> (a p_x - b p_y + x, b p_x + a p_y + y) that brings source nearest to target, in least squares.

    Umeyama 1991, IEEE TPAMI 13, 376, in two dimensions and without mirroring. Points that are all one give a = b = 0.
    """
    from_2, to_2 = source_52.mean(axis=0), target_52.mean(axis=0)
    s_52, t_52 = source_52 - from_2, target_52 - to_2
    size = max(float((s_52**2).sum()), 1e-9)
    a = float((s_52 * t_52).sum()) / size
    b = float((s_52[:, 0] * t_52[:, 1] - s_52[:, 1] * t_52[:, 0]).sum()) / size
    x, y = float(to_2[0] - a * from_2[0] + b * from_2[1]), float(to_2[1] - b * from_2[0] - a * from_2[1])
    return a, b, x, y
