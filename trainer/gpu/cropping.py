"""Where a picture is cut to its bucket, so that no crop cuts the face: plain sums, with pictures as sizes.

A bucket has nearly a picture's own shape, so a crop takes little, and only above and below or only left and right. Without a
face it is taken around the middle, a little above it. With one the window slides, as far as it must and no further.
"""

from __future__ import annotations

from dataclasses import dataclass

UPPER = 0.4
"""Where a tall picture is cut: a little above the middle, where faces and bodies are."""
USUAL = (0.5, UPPER)
MARGIN = 0.3
"""Of the face's own width and height, to be kept around it where there is room: a detected face ends at the brow and the chin,
and a head is about half as high again (a drawing rule: the eyes lie at half of a head's height)."""
PORTRAIT = 3.0
"""Side of a portrait over the face's height: head and shoulders (a head is two to three wide at the shoulders)."""


@dataclass(frozen=True, kw_only=True)
class Face:
    """A box around a face, in shares of the upright picture's width and height."""

    left: float
    top: float
    right: float
    bottom: float

    @classmethod
    def of(cls, box: tuple[float, float, float, float] | None) -> Face | None:
        """From a row of left, top, right and bottom."""
        return None if box is None else cls(left=box[0], top=box[1], right=box[2], bottom=box[3])

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom."""
        return self.left, self.top, self.right, self.bottom

    @property
    def area(self) -> float:
        """Share of the picture; 0 where the box is empty."""
        return max(0.0, self.right - self.left) * max(0.0, self.bottom - self.top)

    def mirrored(self) -> Face:
        """In the mirrored picture."""
        return Face(left=1.0 - self.right, top=self.top, right=1.0 - self.left, bottom=self.bottom)


def centering(size: tuple[int, int], shape: tuple[int, int], face: Face | None) -> tuple[float, float]:
    """Where the window lies in what is left over, 0 to 1 from the left and from the top, as Pillow's `fit` takes it.

    `size` and `shape` are (width, height) of the picture and of its bucket. The window is as large as without a face.
    """
    if face is None:
        return USUAL
    scale = min(size[0] / shape[0], size[1] / shape[1])
    wide, high = (shape[axis] * scale / size[axis] for axis in (0, 1))
    return _slid(wide, face.left, face.right, USUAL[0]), _slid(high, face.top, face.bottom, USUAL[1])


def _slid(window: float, begin: float, end: float, usual: float) -> float:
    """One axis, in shares of the picture: the window of this length slides from its usual place until begin..end is inside.

    With its margin, where both fit; where only the face does, in the middle of the window; where it does not fit either, so
    that as much is lost on one side as on the other. Never beyond the picture.
    """
    room = 1.0 - window
    if room < 1e-9:
        return usual
    margin = MARGIN * (end - begin)
    first, last = max(0.0, begin - margin), min(1.0, end + margin)
    start = usual * room
    spacious = last - first <= window
    moved = min(max(start, last - window), first) if spacious else (begin + end - window) / 2
    moved = min(max(moved, 0.0), room)
    return usual if moved == start else moved / room


def portrait(size: tuple[int, int], face: Face, least: int) -> tuple[int, int, int, int]:
    """The part (left, top, right, bottom) in px of a picture that shows head and shoulders: a square around the face.

    It is at least `least` px wide and high where the picture is, so that what is seen is not enlarged for it; and no larger
    than the picture. The face lies a little above its middle.
    """
    width, height = size
    across, down = (face.left + face.right) / 2 * width, (face.top + face.bottom) / 2 * height
    wanted = max(PORTRAIT * (face.bottom - face.top) * height, PORTRAIT * (face.right - face.left) * width, least)
    wide, high = min(width, round(wanted)), min(height, round(wanted))
    left = min(max(round(across - wide / 2), 0), width - wide)
    top = min(max(round(down - UPPER * high), 0), height - high)
    return left, top, left + wide, top + high


def within(face: Face, size: tuple[int, int], box: tuple[int, int, int, int]) -> Face:
    """The same face in the part of the picture that `box` cuts out."""
    left, top, right, bottom = box
    across, down = right - left, bottom - top
    return Face(
        left=max(0.0, (face.left * size[0] - left) / across),
        top=max(0.0, (face.top * size[1] - top) / down),
        right=min(1.0, (face.right * size[0] - left) / across),
        bottom=min(1.0, (face.bottom * size[1] - top) / down),
    )
