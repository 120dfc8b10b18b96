"""Where faces are in a picture: YuNet through onnxruntime (extra `[tags]`), on the CPU.

YuNet (Wu, Peng and Yu 2023, Machine Intelligence Research, doi 10.1007/s11633-023-1423-y) is a detector without anchors: every
cell of three grids of 8, 16 and 32 px says how sure it is of a face (`cls`), of an object (`obj`), and where the box around it
lies (`bbox`), and where eyes, nose and mouth are (`kps`), which cropping does not need. The sums are those of OpenCV's
FaceDetectorYN (https://github.com/opencv/opencv/blob/0692bb41f5afd79dd8c0d943ddf42a0b87397ab8/modules/objdetect/src/face_detect.cpp).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from trainer.gpu.cropping import Face

STRIDES = (8, 16, 32)
THRESHOLD = 0.8
"""Least sqrt(cls * obj). OpenCV's default is 0.9 (its demo's too); a missed face is cut, a wrong one only moves a crop a little."""
OVERLAP = 0.3
"""Intersection over union from which two boxes are one face: OpenCV's default."""
LOOKS = (1, 2, 4)
"""The longer side over these: where no face is found, the next."""
MOST_FACES = 50
MOST_BYTES = 64 << 20
"""The detector has 0.2 MB; what is much larger is another model."""

Floats = npt.NDArray[np.float32]


class Faces:
    """One loaded detector."""

    def __init__(self, file: Path) -> None:
        """Raises `OSError` where the file or onnxruntime is not there, or it is no such detector."""
        try:
            import onnxruntime  # noqa: PLC0415  # an optional extra
        except ImportError as error:
            raise OSError("finding faces needs onnxruntime: install lorasmith[tags]") from error
        if not file.is_file() or file.stat().st_size > MOST_BYTES:
            raise OSError(f"there is no face detector {file.name}")
        try:
            self._session: Any = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises errors of its own making
            raise OSError(f"{file.name} cannot be used: {type(error).__name__}") from error
        self._input = self._session.get_inputs()[0].name
        shape = self._session.get_inputs()[0].shape
        sides = set(shape[2:])
        side = sides.pop() if len(shape) == 4 and shape[1] == 3 and len(sides) == 1 else None
        if not isinstance(side, int) or not 64 <= side <= 2048 or side % STRIDES[-1]:
            raise OSError(f"{file.name} is no detector of the YuNet kind: it takes no square pictures")
        self._side = side
        kinds = {o.name for o in self._session.get_outputs()}
        if missing := [name for name in _NAMES if name not in kinds]:
            raise OSError(f"{file.name} is no detector of the YuNet kind: it does not say {missing[0]}")

    def of(self, image: Image.Image) -> tuple[Face, ...]:
        """The faces of an RGB picture, largest first. Raises `OSError` where the model's answers have other lengths than its grids.

        The detector knows faces of about 10 to 300 px (https://github.com/opencv/opencv_zoo, models/face_detection_yunet), so
        where it finds none the picture is shown to it smaller: a close-up has a larger one.
        """
        for smaller in LOOKS:
            if found := self._seen(image, self._side // smaller):
                return found
        return ()

    def points(self, image: Image.Image) -> Floats | None:
        """Eyes, nose and corners of the mouth of the largest face, (5, 2) in px, left ones first; None where there is no face.

        Raises `OSError` where the model's answers have other lengths than its grids.
        """
        for smaller in LOOKS:
            blob, scale = self._blob(image, self._side // smaller)
            said = self._said(blob, (*_NAMES, *POINTS))
            boxes_N4, scores_N = decoded(said, self._side)
            if kept := apart(boxes_N4, scores_N):
                largest = max(kept, key=lambda n: float(np.prod(boxes_N4[n, 2:] - boxes_N4[n, :2])))
                return pointed(said, self._side)[largest] / np.float32(scale)
        return None

    @property
    def points_out(self) -> bool:
        """Whether the model says where eyes, nose and mouth are."""
        return set(POINTS) <= {o.name for o in self._session.get_outputs()}

    def _said(self, blob: Floats, names: Sequence[str]) -> dict[str, Floats]:
        return dict(zip(names, self._session.run([*names], {self._input: blob}), strict=True))

    def _seen(self, image: Image.Image, longest: int) -> tuple[Face, ...]:
        blob, scale = self._blob(image, longest)
        boxes_N4, scores_N = decoded(self._said(blob, _NAMES), self._side)
        whole = [_inside(boxes_N4[n] / scale, image.size) for n in apart(boxes_N4, scores_N)]
        return tuple(sorted((f for f in whole if f is not None), key=lambda face: -face.area))

    def _blob(self, image: Image.Image, longest: int) -> tuple[Floats, float]:
        """(1, 3, side, side), blue first, 0..255, at the top left of black, and by how much the picture was scaled: never up."""
        scale = min(1.0, longest / max(image.size))
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        square = Image.new("RGB", (self._side, self._side))
        square.paste(image.resize(size, Image.Resampling.BILINEAR), (0, 0))
        pixels_HWC = np.asarray(square, dtype=np.float32)[:, :, ::-1]
        return np.ascontiguousarray(pixels_HWC.transpose(2, 0, 1)[None]), scale


_NAMES = tuple(f"{kind}_{stride}" for kind in ("cls", "obj", "bbox") for stride in STRIDES)
POINTS = tuple(f"kps_{stride}" for stride in STRIDES)


def decoded(said: dict[str, Floats], side: int) -> tuple[Floats, Floats]:
    """Boxes (N, 4) as left, top, right, bottom in px of the square, and scores (N), of all cells that are sure enough.

    score = sqrt(cls * obj), each in 0..1; centre = (cell + offset) * stride; size = exp(log size) * stride.
    """
    boxes, scores = [], []
    for stride in STRIDES:
        cells = side // stride
        score_N, where_N4 = _scores(said, stride, cells), said[f"bbox_{stride}"].reshape(-1, 4)
        if len(where_N4) != len(score_N):
            raise OSError(_MISFIT)
        chosen = np.nonzero(score_N >= THRESHOLD)[0]
        cell_N2 = np.stack([chosen % cells, chosen // cells], axis=1)
        centre_N2 = (cell_N2 + where_N4[chosen, :2]) * stride
        half_N2 = np.exp(np.clip(where_N4[chosen, 2:], -10, 10)) * stride / 2
        boxes.append(np.concatenate([centre_N2 - half_N2, centre_N2 + half_N2], axis=1))
        scores.append(score_N[chosen])
    return np.concatenate(boxes).astype(np.float32), np.concatenate(scores).astype(np.float32)


def pointed(said: dict[str, Floats], side: int) -> Floats:
    """The five points (N, 5, 2) in px of the square, of the same cells as `decoded`: (cell + offset) * stride."""
    found = []
    for stride in STRIDES:
        cells = side // stride
        score_N, where_N52 = _scores(said, stride, cells), said[f"kps_{stride}"].reshape(-1, 5, 2)
        if len(where_N52) != len(score_N):
            raise OSError(_MISFIT)
        chosen = np.nonzero(score_N >= THRESHOLD)[0]
        cell_N12 = np.stack([chosen % cells, chosen // cells], axis=1)[:, None]
        found.append((cell_N12 + where_N52[chosen]) * stride)
    return np.concatenate(found).astype(np.float32)


_MISFIT = "the face detector's answers do not fit its grids"


def _scores(said: dict[str, Floats], stride: int, cells: int) -> Floats:
    """How sure a grid is of a face in each of its cells."""
    sure_N, object_N = (said[f"{kind}_{stride}"].reshape(-1) for kind in ("cls", "obj"))
    if {len(sure_N), len(object_N)} != {cells * cells}:
        raise OSError(_MISFIT)
    score_N: Floats = np.sqrt(np.clip(sure_N, 0, 1) * np.clip(object_N, 0, 1))
    return score_N


def apart(boxes_N4: Floats, scores_N: Floats) -> list[int]:
    """The surest box of each face: those that overlap a surer one are dropped."""
    kept: list[int] = []
    for n in np.argsort(-scores_N, kind="stable"):
        if len(kept) < MOST_FACES and all(_overlap(boxes_N4[n], boxes_N4[k]) <= OVERLAP for k in kept):
            kept.append(int(n))
    return kept


def _overlap(a_4: Floats, b_4: Floats) -> float:
    """Intersection over union."""
    width, height = np.minimum(a_4[2:], b_4[2:]) - np.maximum(a_4[:2], b_4[:2])
    both = max(0.0, float(width)) * max(0.0, float(height))
    areas = sum(float((c[2] - c[0]) * (c[3] - c[1])) for c in (a_4, b_4))
    return both / max(areas - both, 1e-9)


def _inside(box_4: Floats, size: tuple[int, int]) -> Face | None:
    """In shares of the picture, without what lies outside."""
    left, top, right, bottom = (float(v) for v in box_4)
    face = Face(
        left=min(max(left / size[0], 0.0), 1.0),
        top=min(max(top / size[1], 0.0), 1.0),
        right=min(max(right / size[0], 0.0), 1.0),
        bottom=min(max(bottom / size[1], 0.0), 1.0),
    )
    return face if face.area > 0 else None
