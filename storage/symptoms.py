"""What can be seen of one picture without a model: how sharp it is, whether print lies on it, whether a frame runs around it.

Numbers only; what they mean for an order says `storage.domain.doctor`. This file runs in the child that opens pictures of
strangers (`storage/decoding.py`) and imports nothing of lorasmith. H x W are pixels of a picture made smaller.

The thresholds were found on 24 photographs of five subjects, 703 to 1024 px, and 48 drawings of 16 subjects, 256 px, as they
are and after damage (`tests/storage/test_symptoms.py` does the same in small).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

Grey = npt.NDArray[np.float32]

SHARP_PX = 512
"""Long side at which sharpness is looked at first: what is soft at this size is soft for every base of 512 px and more."""
PRINT_PX = (1024, 512)
"""Long sides at which print is looked for: strokes of it are 1 to 5 px wide at one of them."""
WIDEST_STROKE = 5
CELLS = (5, 8, 13)
"""Half the height in px of the lines of print that are looked for."""
FRAME_PX = 512
FRAME_SAME = 10.0
"""Grey levels that the pixels of a frame may differ by: more than JPEG adds, less than any photograph has."""
FRAME_EDGE = 16.0
"""Grey levels between a frame and the picture in it, along `FRAME_ALONG` of its side."""
FRAME_ALONG = 0.6


def symptoms(image: Image.Image, learned_px: int) -> dict[str, float]:
    """Sharpness, lettering and frame of an RGB picture; `learned_px` is the side of the square that the base learns at."""
    px = min(SHARP_PX, learned_px)
    return {
        "sharpness": round(min(sharpness(shrunk(image, px)), sharpness(shrunk(image, px // 2))), 3),
        "lettering": round(max(lettering(shrunk(image, px)) for px in PRINT_PX), 3),
        "frame": round(frame(shrunk(image, FRAME_PX)), 3),
    }


def shrunk(image: Image.Image, px: int) -> Grey:
    """Grey levels 0..255 (H, W) with a long side of at most `px`; nothing is enlarged."""
    grey = image.convert("L")
    grey.thumbnail((px, px), Image.Resampling.LANCZOS)
    return np.asarray(grey, dtype=np.float32)


def sharpness(grey: Grey) -> float:
    """How narrow the strongest edges are: the Laplacian there over the gradient there (99.5th percentiles).

    A step of height c blurred by s pixels has a gradient of c / (s sqrt(2 pi)) and a Laplacian of 0.24 c / s^2, so their
    ratio, 0.61 / s, falls with the blur and does not know the contrast. (The variance of the Laplacian does: it calls a sharp
    drawing of few edges blurred; Pech-Pacheco et al. 2000.) Measured: 1.43 to 2.9 for sharp photographs at 512, 256 and 64 px
    and 1.6 to 4.2 for drawings; 0.55 to 1.08 after a blur of 1 px, below 0.9 from 2 px on. Coarse noise over a blur hides it.
    """
    if min(grey.shape) < 8:
        return 9.0
    middle = grey[1:-1, 1:-1]
    laplacian = grey[1:-1, :-2] + grey[1:-1, 2:] + grey[:-2, 1:-1] + grey[2:, 1:-1] - 4.0 * middle
    gradient = np.hypot(grey[1:-1, 2:] - grey[1:-1, :-2], grey[2:, 1:-1] - grey[:-2, 1:-1]) / 2.0
    steepest = float(np.quantile(gradient, 0.995))
    if steepest < 2.0:  # an even field has no edge that could be blurred
        return 9.0
    return float(np.quantile(np.abs(laplacian), 0.995)) / steepest


def lettering(grey: Grey) -> float:
    """The densest line of print: share of its pixels that are strokes of one shade on a calm ground; 0 where there is none.

    A stroke is 1 to 5 px of a lighter (or darker) shade between two pixels of like ground on the same row. Print has many of
    them in a flat window, all of one shade, which fur, grass and folds have not. Measured: at most 0.20 on the photographs and
    0.17 on drawings; of lines of print laid over the photographs in five sizes about half come above 0.21. Print on a like
    ground, handwriting and single large letters are not found.
    """
    return max((_line(*_strokes(grey * sign)) for sign in (1.0, -1.0)), default=0.0)


def _strokes(grey: Grey) -> tuple[Grey, Grey, Grey]:
    """Which pixels are the middle of a stroke lighter than its ground (0 or 1), its shade, and its ground's."""
    height, width = grey.shape
    hit, ink, ground = (np.zeros((height, width), dtype=np.float32) for _ in range(3))
    sums = np.pad(grey, ((0, 0), (1, 0))).cumsum(axis=1, dtype=np.float64).astype(np.float32)
    for stroke in range(1, WIDEST_STROKE + 1):
        count = width - stroke - 3
        if count < 1:
            break
        left, right = grey[:, :count], grey[:, stroke + 3 : stroke + 3 + count]
        core = (sums[:, 2 + stroke : 2 + stroke + count] - sums[:, 2 : 2 + count]) / stroke
        here = slice(2 + stroke // 2, 2 + stroke // 2 + count)
        new = (core - np.maximum(left, right) > 45.0) & (np.abs(left - right) < 40.0) & (hit[:, here] == 0.0)
        hit[:, here][new], ink[:, here][new] = 1.0, core[new]
        ground[:, here][new] = (left[new] + right[new]) / 2.0
    return hit, ink, ground


def _line(hit: Grey, ink: Grey, ground: Grey) -> float:
    """The greatest share of strokes in windows of 2 x 12 cells whose strokes are of one shade."""
    best = 0.0
    for cell in CELLS:
        if hit.shape[0] < 2 * cell or hit.shape[1] < 12 * cell:
            continue
        count = _windows(hit, cell)
        some = np.maximum(count, 1.0)
        ink_var = _windows(hit * ink**2, cell) / some - (_windows(hit * ink, cell) / some) ** 2
        ground_var = _windows(hit * ground**2, cell) / some - (_windows(hit * ground, cell) / some) ** 2
        share = np.where((ink_var < 14.0**2) & (ground_var < 45.0**2), count / (24.0 * cell * cell), 0.0)
        best = max(best, float(share.max()))
    return best


def _windows(values: Grey, cell: int) -> npt.NDArray[np.float64]:
    """Sums over all windows of 2 x 12 cells."""
    rows, columns = values.shape[0] // cell, values.shape[1] // cell
    cut = values[: rows * cell, : columns * cell].astype(np.float64)
    cells = cut.reshape(rows, cell, columns, cell).sum(axis=(1, 3))
    sums = np.pad(cells, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    found: npt.NDArray[np.float64] = sums[2:, 12:] - sums[:-2, 12:] - sums[2:, :-12] + sums[:-2, :-12]
    return found


def frame(grey: Grey) -> float:
    """Share of the area that a plain frame, or a pair of bars, takes; 0 where there is none.

    A bar is plain from the edge inwards and ends in a straight edge along most of its side, and the bar opposite has its
    shade: so neither a thing on plain ground nor a sky is one.
    """
    top, bottom = _pair(grey)
    inner = grey[top : grey.shape[0] - bottom]
    left, right = _pair(inner.T)
    inner = inner[:, left : inner.shape[1] - right]
    return 1.0 - inner.size / grey.size


def _pair(grey: Grey) -> tuple[int, int]:
    """Depth in px of the bars above and below; both or none."""
    first, last = _bar(grey), _bar(grey[::-1])
    alike = abs(float(grey[0].mean()) - float(grey[-1].mean())) <= 2 * FRAME_SAME
    return (first, last) if first and last and alike else (0, 0)


def _bar(grey: Grey) -> int:
    height, shade = grey.shape[0], float(np.median(grey[0]))
    off = np.abs(grey - shade)
    plain = np.quantile(off, 0.98, axis=1) <= FRAME_SAME
    depth = int(np.argmin(plain)) if not plain.all() else 0
    if not max(2, height // 64) <= depth < 0.45 * height:
        return 0
    inside = off[min(depth + 1, height - 1)]
    return depth if float((inside > FRAME_EDGE).mean()) >= FRAME_ALONG else 0
