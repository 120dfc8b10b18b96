"""A pen that draws in the unit box of a thing (-1..1, y down), at any picture size.

Line widths, patterns and poses are relative, so the same thing can be drawn 64 px for training and 256 px for members.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]

INK: Colour = (24, 20, 28)
WHITE: Colour = (250, 250, 250)


@dataclass(frozen=True, kw_only=True)
class Pose:
    """Where a thing stands: centre and height in fractions of the frame, turn in degrees clockwise."""

    x: float = 0.5
    y: float = 0.53
    height: float = 0.72
    turn: float = 0.0
    mirrored: bool = False


@dataclass(frozen=True, kw_only=True)
class Paint:
    """A colour, and a pattern of a second colour over it; pretraining uses `plain`, `stripes` and `dots` only."""

    colour: Colour
    pattern: str = "plain"
    second: Colour = WHITE
    pitch: float = 0.32  # distance between stripes or dots, in units of the box


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a drawing function needs to know about one thing."""

    paint: Paint
    random: Random
    spread: float = 0.0  # 0: the same shape every time; 1: proportions vary

    @property
    def dark(self) -> Colour:
        """The paint's colour in shade; for near-black paint a lighter one, so that parts stay visible."""
        return shaded(self.paint.colour)

    def vary(self, value: float, share: float = 0.2) -> float:
        """The value, off by up to `share` of itself when proportions vary."""
        return value * (1 + share * self.spread * self.random.uniform(-1, 1))


def mixed(first: Colour, second: Colour, share: float) -> Colour:
    """A blend with `share` of the second colour."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def shaded(colour: Colour) -> Colour:
    """A darker neighbour, or a lighter one of very dark colours."""
    return mixed(colour, WHITE, 0.3) if sum(colour) < 160 else mixed(colour, INK, 0.38)


def oval(x: float, y: float, width: float, height: float, turn: float = 0.0) -> list[Point]:
    """An ellipse as a polygon: centre, half axes, turn in degrees."""
    cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    ring = [(width * math.cos(step * math.pi / 14), height * math.sin(step * math.pi / 14)) for step in range(28)]
    return [(x + a * cos - b * sin, y + a * sin + b * cos) for a, b in ring]


def box(left: float, top: float, right: float, bottom: float) -> list[Point]:
    """An upright rectangle."""
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


class Pen:
    """Draws one thing in its pose on a canvas."""

    def __init__(self, canvas: Image.Image, pose: Pose) -> None:
        self.canvas = canvas
        self.draw = ImageDraw.Draw(canvas)
        self.pose = pose
        self.unit_px = canvas.height * pose.height / 2
        turn = math.radians(pose.turn)
        self.cos, self.sin = math.cos(turn), math.sin(turn)

    def place(self, points: Sequence[Point]) -> list[Point]:
        """Unit-box points as pixels of the canvas."""
        side = -1 if self.pose.mirrored else 1
        left, top = self.pose.x * self.canvas.width, self.pose.y * self.canvas.height
        unit, cos, sin = self.unit_px, self.cos, self.sin
        return [(left + unit * (side * x * cos - y * sin), top + unit * (side * x * sin + y * cos)) for x, y in points]

    def fill(self, points: Sequence[Point], paint: Paint | Colour, *, outline: float = 0.045) -> None:
        """A filled outline; `outline` is the ink line's width in units (0: none)."""
        corners = self.place(points)
        plain = paint.colour if isinstance(paint, Paint) else paint
        self.draw.polygon(corners, fill=plain)
        if isinstance(paint, Paint) and paint.pattern != "plain":
            self._pattern(corners, paint)
        if outline:
            ink = mixed(plain, WHITE, 0.45) if sum(plain) < 120 else mixed(plain, INK, 0.72)
            self.draw.line([*corners, corners[0], corners[1]], fill=ink, width=self._width(outline), joint="curve")

    def oval(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        paint: Paint | Colour,
        *,
        turn: float = 0.0,
        outline: float = 0.045,
    ) -> None:
        """A filled ellipse."""
        self.fill(oval(x, y, width, height, turn), paint, outline=outline)

    def box(
        self, left: float, top: float, right: float, bottom: float, paint: Paint | Colour, *, outline: float = 0.045
    ) -> None:
        """A filled rectangle."""
        self.fill(box(left, top, right, bottom), paint, outline=outline)

    def line(self, points: Sequence[Point], colour: Colour, width: float = 0.08) -> None:
        """An open line with round joints."""
        self.draw.line(self.place(points), fill=colour, width=self._width(width), joint="curve")

    def eye(self, x: float, y: float, size: float = 0.13) -> None:
        """A round eye that shows on any colour."""
        self.oval(x, y, size, size, WHITE, outline=0.03)
        self.oval(x + size * 0.2, y, size * 0.55, size * 0.55, INK, outline=0)

    def _width(self, units: float) -> int:
        return max(1, round(units * self.unit_px))

    def _pattern(self, corners: list[Point], paint: Paint) -> None:
        mask = Image.new("L", self.canvas.size)
        ImageDraw.Draw(mask).polygon(corners, fill=255)
        covered = Image.new("RGB", self.canvas.size, paint.colour)
        marks = Pen(covered, self.pose)
        PATTERNS[paint.pattern](marks, paint)
        self.canvas.paste(covered, mask=mask)


def _steps(pitch: float) -> list[float]:
    return [-1.4 + pitch * step for step in range(math.ceil(2.8 / pitch))]


def _stripes(pen: Pen, paint: Paint) -> None:
    for top in _steps(paint.pitch):
        pen.fill(box(-1.5, top, 1.5, top + paint.pitch * 0.45), paint.second, outline=0)


def _bars(pen: Pen, paint: Paint) -> None:
    for left in _steps(paint.pitch):
        pen.fill(box(left, -1.5, left + paint.pitch * 0.5, 1.5), paint.second, outline=0)


def _slant(pen: Pen, paint: Paint) -> None:
    for left in _steps(paint.pitch * 1.3):
        width = paint.pitch * 0.6
        edge = [
            (left * 2 - 1.5, -1.5),
            (left * 2 - 1.5 + width, -1.5),
            (left * 2 + 1.5 + width, 1.5),
            (left * 2 + 1.5, 1.5),
        ]
        pen.fill(edge, paint.second, outline=0)


def _dots(pen: Pen, paint: Paint) -> None:
    for row, y in enumerate(_steps(paint.pitch)):
        for x in _steps(paint.pitch):
            shift = paint.pitch / 2 * (row % 2)
            pen.oval(x + shift, y, paint.pitch * 0.26, paint.pitch * 0.26, paint.second, outline=0)


def _rings(pen: Pen, paint: Paint) -> None:
    for row, y in enumerate(_steps(paint.pitch * 1.8)):
        for x in _steps(paint.pitch * 1.8):
            shift = paint.pitch * 0.9 * (row % 2)
            pen.oval(x + shift, y, paint.pitch * 0.72, paint.pitch * 0.72, paint.second, outline=0)
            pen.oval(x + shift, y, paint.pitch * 0.38, paint.pitch * 0.38, paint.colour, outline=0)


def _checks(pen: Pen, paint: Paint) -> None:
    for row, y in enumerate(_steps(paint.pitch)):
        for x in _steps(paint.pitch * 2):
            left = x + paint.pitch * (row % 2)
            pen.fill(box(left, y, left + paint.pitch, y + paint.pitch), paint.second, outline=0)


def _zigzag(pen: Pen, paint: Paint) -> None:
    for y in _steps(paint.pitch * 1.2):
        points = [(x, y + paint.pitch * 0.5 * (step % 2)) for step, x in enumerate(_steps(paint.pitch * 0.6))]
        pen.line(points, paint.second, paint.pitch * 0.45)


def _halves(pen: Pen, paint: Paint) -> None:
    pen.fill(box(0, -1.5, 1.5, 1.5), paint.second, outline=0)


def _belt(pen: Pen, paint: Paint) -> None:
    pen.fill(box(-1.5, 0.02, 1.5, 0.42), paint.second, outline=0)


def _patches(pen: Pen, paint: Paint) -> None:
    spots = ((-0.45, -0.3, 0.34, 40), (0.4, 0.15, 0.36, -30), (-0.2, 0.62, 0.3, 10), (0.42, -0.62, 0.26, 60))
    for x, y, size, turn in spots:
        pen.oval(x, y, size, size * 0.7, paint.second, turn=turn, outline=0)


PATTERNS = {
    "stripes": _stripes,
    "dots": _dots,
    "bars": _bars,
    "slant": _slant,
    "rings": _rings,
    "checks": _checks,
    "zigzag": _zigzag,
    "halves": _halves,
    "belt": _belt,
    "patches": _patches,
}
