"""Toys and robots: a body form, something on the head, eyes and limbs, chosen independently of each other.

Pretraining uses the forms `egg` and `block` only; the other forms belong to the subjects for tests.
"""

import math
from dataclasses import dataclass

from trainer.pocket.pen import INK, WHITE, Colour, Look, Pen, Point, mixed, oval, shaded

SUN: Colour = (250, 215, 70)


@dataclass(frozen=True, kw_only=True)
class Build:
    """How a toy or robot is put together."""

    form: str = "egg"
    crest: str = "antennae"
    eyes: int = 2
    limbs: str = "round"  # round, sticks, none
    accent: Colour = SUN
    smile: bool = True


def _mirror(right: list[Point]) -> list[Point]:
    return [*right, *((-x, y) for x, y in reversed(right))]


FORMS: dict[str, list[Point]] = {
    "egg": oval(0, 0.12, 0.54, 0.68),
    "block": [(-0.46, -0.48), (0.46, -0.48), (0.46, 0.76), (-0.46, 0.76)],
    "pear": _mirror([(0.0, -0.6), (0.24, -0.52), (0.3, -0.2), (0.58, 0.2), (0.62, 0.55), (0.4, 0.8)]),
    "bell": _mirror([(0.0, -0.62), (0.26, -0.5), (0.34, 0.2), (0.5, 0.55), (0.8, 0.8)]),
    "ghost": _mirror(
        [(0.0, -0.62), (0.4, -0.46), (0.54, -0.05), (0.54, 0.85), (0.36, 0.66), (0.18, 0.85), (0.0, 0.66)]
    ),
    "diamond": [(0, -0.68), (0.66, 0.1), (0, 0.88), (-0.66, 0.1)],
    "wide": oval(0, 0.2, 0.86, 0.46),
    "column": [(-0.28, -0.64), (0.28, -0.64), (0.28, 0.84), (-0.28, 0.84)],
    "heart": _mirror([(0.0, -0.28), (0.24, -0.56), (0.56, -0.5), (0.7, -0.16), (0.5, 0.3), (0.0, 0.86)]),
    "hexagon": [(-0.34, -0.5), (0.34, -0.5), (0.7, 0.14), (0.34, 0.78), (-0.34, 0.78), (-0.7, 0.14)],
    "cone": [(-0.04, -0.64), (0.04, -0.64), (0.68, 0.82), (-0.68, 0.82)],
    "cross": [
        *((-0.26, -0.6), (0.26, -0.6), (0.26, -0.14), (0.72, -0.14), (0.72, 0.36), (0.26, 0.36)),
        *((0.26, 0.84), (-0.26, 0.84), (-0.26, 0.36), (-0.72, 0.36), (-0.72, -0.14), (-0.26, -0.14)),
    ],
}


def draw_toy(pen: Pen, look: Look, build: Build) -> None:
    """A standing toy creature: crest, limbs, patterned body, eyes, mouth."""
    _crest(pen, look, build)
    _limbs(pen, look, build)
    pen.fill(FORMS[build.form], look.paint, outline=0.055)
    _eyes(pen, build, -0.18, 0.16)
    if build.smile:
        smile = [(0.2 * math.cos(math.pi * s / 8), 0.12 + 0.14 * math.sin(math.pi * s / 8)) for s in range(9)]
        pen.fill(smile, (120, 30, 50), outline=0)


def draw_robot(pen: Pen, look: Look, build: Build) -> None:
    """Boxes: square head with a bulb, body with buttons, straight arms and legs; forms replace the body's box."""
    dark = look.dark
    for side in (-1, 1):
        pen.box(side * 0.25 - 0.13, 0.55, side * 0.25 + 0.13, 0.98, dark)
        pen.box(side * 0.72 - 0.12, -0.02, side * 0.72 + 0.12, 0.5, dark)
    if build.crest == "antennae":
        pen.line([(0, -0.7), (0, -0.9)], INK, 0.06)
        pen.oval(0, -0.92, 0.09, 0.09, build.accent)
    else:
        _crest(pen, look, build)
    body = FORMS[build.form] if build.form != "block" else [(-0.54, -0.1), (0.54, -0.1), (0.54, 0.66), (-0.54, 0.66)]
    pen.fill([(x * 0.85, 0.28 + (y - 0.12) * 0.62) for x, y in body] if build.form != "block" else body, look.paint)
    pen.box(-0.44, -0.74, 0.44, -0.16, look.paint if look.paint.pattern == "plain" else look.paint.colour)
    _eyes(pen, build, -0.5, 0.14)
    pen.box(-0.24, -0.32, 0.24, -0.22, WHITE, outline=0.03)
    pen.box(-0.3, 0.1, 0.3, 0.4, mixed(look.paint.colour, WHITE, 0.7), outline=0.03)
    pen.oval(-0.12, 0.25, 0.08, 0.08, build.accent, outline=0)
    pen.oval(0.14, 0.25, 0.08, 0.08, (90, 200, 120), outline=0)


def _eyes(pen: Pen, build: Build, y: float, size: float) -> None:
    places = {1: (0.0,), 2: (-0.19, 0.19), 3: (-0.3, 0.0, 0.3)}[build.eyes]
    for x in places:
        pen.eye(x, y, size * (1.45 if build.eyes == 1 else 1.0 if build.eyes == 2 else 0.85))


def _limbs(pen: Pen, look: Look, build: Build) -> None:
    for side in (-1, 1):
        if build.limbs == "round":
            pen.oval(side * 0.64, 0.2, 0.24, 0.12, look.dark, turn=side * 40)
            pen.oval(side * 0.27, 0.88, 0.25, 0.12, build.accent)
        if build.limbs == "sticks":
            pen.line([(side * 0.4, 0.2), (side * 0.95, -0.1)], INK, 0.07)
            pen.line([(side * 0.2, 0.6), (side * 0.2, 0.98), (side * 0.36, 0.98)], INK, 0.07)


def _crest(pen: Pen, look: Look, build: Build) -> None:
    accent = build.accent
    if build.crest == "crown":
        pen.fill(
            [(-0.34, -0.5), (-0.4, -0.95), (-0.16, -0.72), (0, -1.0), (0.16, -0.72), (0.4, -0.95), (0.34, -0.5)], accent
        )
    if build.crest == "leaf":
        pen.oval(0.16, -0.78, 0.28, 0.12, accent, turn=-35)
        pen.line([(0, -0.5), (0.02, -0.7)], INK, 0.06)
    if build.crest == "fin":
        pen.fill([(-0.3, -0.45), (0.1, -1.0), (0.3, -0.45)], accent)
    for side in (-1, 1):
        if build.crest == "antennae":
            pen.line([(side * 0.18, -0.45), (side * 0.34, -0.86)], shaded(look.paint.colour), 0.07)
            pen.oval(side * 0.35, -0.88, 0.12, 0.12, accent)
        if build.crest == "ears":
            pen.oval(side * 0.42, -0.5, 0.24, 0.24, look.dark)
        if build.crest == "horns":
            pen.fill([(side * 0.12, -0.45), (side * 0.5, -1.0), (side * 0.48, -0.3)], accent)
        if build.crest == "wings":
            pen.fill([(side * 0.35, 0.1), (side * 1.0, -0.6), (side * 0.95, 0.2)], accent)
