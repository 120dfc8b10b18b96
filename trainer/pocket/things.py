"""Things that do not breathe: vehicles, plants, household, buildings."""

import math

from trainer.pocket.pen import INK, WHITE, Colour, Look, Pen, mixed, oval

GLASS: Colour = (190, 225, 245)
WOOD: Colour = (110, 70, 40)
LEAF: Colour = (60, 150, 60)
CREAM: Colour = (245, 235, 210)
SUN: Colour = (250, 205, 60)


def draw_teapot(pen: Pen, look: Look) -> None:
    """Round belly, spout to the right, ring handle to the left, lid with a knob."""
    paint, dark = look.paint, look.dark
    ring = oval(-0.68, 0.1, 0.3, 0.36)
    pen.line([*ring, ring[0]], dark, 0.13)
    pen.fill([(0.4, 0.4), (0.72, -0.1), (0.86, -0.34), (1.02, -0.3), (0.9, 0.02), (0.55, 0.6)], paint)
    pen.oval(0, 0.2, look.vary(0.62, 0.1), 0.56, paint)
    pen.box(-0.34, 0.7, 0.34, 0.82, dark)
    pen.fill([(-0.42, -0.3), (-0.3, -0.48), (0.3, -0.48), (0.42, -0.3)], dark)
    pen.oval(0, -0.58, 0.12, 0.12, dark)
    pen.oval(0.2, 0.0, 0.09, 0.16, mixed(paint.colour, WHITE, 0.6), turn=30, outline=0)


def draw_car(pen: Pen, look: Look) -> None:
    """Side view: low body, cabin with two windows, two wheels."""
    paint = look.paint
    pen.fill([(-0.55, 0.05), (-0.36, look.vary(-0.45, 0.2)), (0.3, look.vary(-0.45, 0.2)), (0.58, 0.05)], paint)
    pen.fill([(-0.42, 0.02), (-0.3, -0.32), (-0.04, -0.32), (-0.04, 0.02)], GLASS)
    pen.fill([(0.06, 0.02), (0.06, -0.32), (0.26, -0.32), (0.44, 0.02)], GLASS)
    pen.fill([(-1.0, 0.05), (0.8, 0.02), (1.0, 0.18), (1.0, 0.5), (-1.0, 0.5)], paint)
    pen.oval(0.92, 0.22, 0.08, 0.08, SUN, outline=0.02)
    for x in (-0.55, 0.55):
        pen.oval(x, 0.52, 0.25, 0.25, INK, outline=0)
        pen.oval(x, 0.52, 0.11, 0.11, (200, 200, 205), outline=0)


def draw_boat(pen: Pen, look: Look) -> None:
    """A hull, a mast and a tall sail in the colour, a white jib."""
    paint, dark = look.paint, look.dark
    pen.line([(0.0, 0.5), (0.0, -0.98)], WOOD, 0.08)
    pen.fill([(-0.08, -0.92), (-0.08, 0.36), (look.vary(-0.78, 0.15), 0.36)], paint)
    pen.fill([(0.08, -0.7), (0.08, 0.36), (0.6, 0.36)], WHITE)
    pen.fill([(-0.98, 0.48), (0.98, 0.48), (0.66, 0.92), (-0.66, 0.92)], dark)


def draw_house(pen: Pen, look: Look) -> None:
    """Square walls, wide pointed roof, door, two windows, chimney."""
    paint, dark = look.paint, look.dark
    pen.box(0.38, -0.85, 0.6, -0.3, (150, 70, 55))
    pen.box(-0.72, -0.12, 0.72, 0.92, paint)
    pen.fill([(-1.0, -0.1), (0, look.vary(-0.92, 0.12)), (1.0, -0.1)], dark)
    pen.box(-0.16, 0.36, 0.16, 0.92, WOOD)
    for x in (-0.44, 0.44):
        pen.box(x - 0.16, 0.1, x + 0.16, 0.4, GLASS)
        pen.line([(x, 0.1), (x, 0.4)], INK, 0.03)


def draw_tree(pen: Pen, look: Look) -> None:
    """A cloud-shaped crown in the colour on a brown trunk."""
    paint = look.paint
    pen.fill([(-0.15, 0.98), (-0.1, 0.1), (0.1, 0.1), (0.15, 0.98)], WOOD)
    for x, y, size in ((-0.42, -0.12, 0.36), (0.42, -0.12, 0.36), (0.0, -0.52, look.vary(0.44, 0.1))):
        pen.oval(x, y, size, size, paint)
    pen.oval(0, -0.18, 0.42, 0.34, paint, outline=0)


def draw_flower(pen: Pen, look: Look) -> None:
    """Six petals around a yellow eye, stem and two leaves."""
    paint = look.paint
    pen.line([(0, 0.0), (0, 0.98)], LEAF, 0.09)
    for side in (-1, 1):
        pen.oval(side * 0.26, 0.68, 0.24, 0.1, LEAF, turn=side * -30)
    for step in range(6):
        angle = step * math.pi / 3 + math.pi / 6
        x, y = 0.38 * math.cos(angle), -0.38 + 0.38 * math.sin(angle)
        pen.oval(x, y, look.vary(0.25, 0.12), 0.17, paint, turn=math.degrees(angle))
    pen.oval(0, -0.38, 0.19, 0.19, SUN if sum(paint.colour) < 560 else (225, 150, 20))


def draw_mushroom(pen: Pen, look: Look) -> None:
    """A half-round cap with pale spots over a thick pale stem."""
    paint = look.paint
    pen.fill([(-0.24, 0.0), (0.24, 0.0), (0.34, 0.92), (-0.34, 0.92)], CREAM)
    cap = [
        (0.92 * math.cos(math.pi * (1 + s / 12)), 0.1 + look.vary(0.95, 0.0) * math.sin(math.pi * (1 + s / 12)))
        for s in range(13)
    ]
    pen.fill([*cap, (0.6, 0.26), (-0.6, 0.26)], paint)
    spot = WHITE if sum(paint.colour) < 620 else (215, 150, 140)
    for x, y, size in ((-0.45, -0.2, 0.13), (0.05, -0.5, 0.15), (0.48, -0.16, 0.13), (-0.02, -0.02, 0.1)):
        pen.oval(x, y, size, size, spot, outline=0)


def draw_balloon(pen: Pen, look: Look) -> None:
    """An egg with a highlight, a knot and a wavy string."""
    paint = look.paint
    string = [(0.06 * math.sin(step), 0.32 + 0.09 * step) for step in range(8)]
    pen.line(string, (90, 80, 90), 0.05)
    pen.fill([(-0.1, 0.36), (0.1, 0.36), (0, 0.2)], look.dark)
    pen.oval(0, -0.34, look.vary(0.5, 0.08), 0.62, paint)
    pen.oval(-0.2, -0.6, 0.09, 0.17, mixed(paint.colour, WHITE, 0.75), turn=20, outline=0)


def draw_umbrella(pen: Pen, look: Look) -> None:
    """A wide dome with scalloped edge, ribs, and a hooked stick."""
    paint, dark = look.paint, look.dark
    hook = [(0.0, -0.9), (0.0, 0.72), (0.06, 0.9), (0.2, 0.94), (0.32, 0.84), (0.34, 0.7)]
    pen.line(hook, WOOD, 0.1)
    dome = [
        (math.cos(math.pi * (1 + s / 12)), 0.05 + look.vary(0.82, 0.1) * math.sin(math.pi * (1 + s / 12)))
        for s in range(13)
    ]
    edge = [(1 - s / 6, 0.05 - (0.16 if s % 2 else 0.0)) for s in range(1, 12)]
    pen.fill([*dome, *edge], paint)
    for x in (-0.42, 0.0, 0.42):
        pen.line([(0, -0.76), (x * 0.75, -0.45), (x * 0.85, -0.04)], dark, 0.05)


def draw_rocket(pen: Pen, look: Look) -> None:
    """Upright: pointed body, two fins, a porthole, a flame below."""
    paint, dark = look.paint, look.dark
    pen.fill([(-0.18, 0.55), (0, 1.0), (0.18, 0.55)], (250, 160, 40), outline=0)
    pen.fill([(-0.08, 0.55), (0, 0.8), (0.08, 0.55)], (250, 230, 90), outline=0)
    for side in (-1, 1):
        pen.fill([(side * 0.25, 0.05), (side * look.vary(0.68, 0.12), 0.66), (side * 0.25, 0.5)], dark)
    body = [(0.0, -1.0), (0.22, -0.65), (0.34, -0.2), (0.34, 0.2), (0.24, 0.58)]
    pen.fill([*body, *((-x, y) for x, y in reversed(body))], paint)
    pen.oval(0, -0.25, 0.17, 0.17, GLASS)
    pen.line([(-0.31, 0.25), (0.31, 0.25)], dark, 0.08)


def draw_star(pen: Pen, look: Look) -> None:
    """Five points."""
    inner = look.vary(0.42, 0.15)
    radii = [1.0 if step % 2 == 0 else inner for step in range(10)]
    angles = [math.pi * (step / 5 - 0.5) for step in range(10)]
    points = [(r * math.cos(a), 0.06 + r * math.sin(a)) for r, a in zip(radii, angles, strict=True)]
    pen.fill(points, look.paint, outline=0.06)


def draw_cactus(pen: Pen, look: Look) -> None:
    """A column with two bent arms in a clay pot; pale needles."""
    paint = look.paint
    needle = WHITE if sum(paint.colour) < 560 else (120, 110, 90)
    for side, top, bend in ((-1, look.vary(-0.35, 0.3), 0.12), (1, look.vary(-0.55, 0.3), -0.05)):
        pen.fill(
            [
                (0, bend),
                (side * 0.5, bend),
                (side * 0.5, top),
                (side * 0.76, top),
                (side * 0.76, bend + 0.26),
                (0, bend + 0.26),
            ],
            paint,
        )
    pen.fill([(-0.24, 0.5), (-0.24, -0.75), (-0.12, -0.95), (0.12, -0.95), (0.24, -0.75), (0.24, 0.5)], paint)
    for y in (-0.7, -0.4, -0.1, 0.2):
        pen.line([(-0.1, y), (-0.02, y + 0.1)], needle, 0.04)
        pen.line([(0.12, y + 0.12), (0.05, y + 0.22)], needle, 0.04)
    pen.fill([(-0.46, 0.42), (0.46, 0.42), (0.34, 0.96), (-0.34, 0.96)], (190, 100, 60))


def draw_lamp(pen: Pen, look: Look) -> None:
    """A table lamp: wide shade in the colour, thin dark stand, round foot, light below the shade."""
    paint = look.paint
    pen.oval(0, 0.02, 0.3, 0.14, (255, 240, 150), outline=0)
    pen.box(-0.06, 0.0, 0.06, 0.82, (150, 140, 130))
    pen.oval(0, 0.86, 0.42, 0.11, (90, 85, 90))
    pen.fill([(-0.34, -0.92), (0.34, -0.92), (look.vary(0.8, 0.1), -0.02), (look.vary(-0.8, 0.1), -0.02)], paint)
    pen.line([(0.5, 0.0), (0.5, 0.32)], SUN, 0.04)


THINGS = {
    "teapot": draw_teapot,
    "car": draw_car,
    "boat": draw_boat,
    "house": draw_house,
    "tree": draw_tree,
    "flower": draw_flower,
    "mushroom": draw_mushroom,
    "balloon": draw_balloon,
    "umbrella": draw_umbrella,
    "rocket": draw_rocket,
    "star": draw_star,
    "cactus": draw_cactus,
    "lamp": draw_lamp,
}
