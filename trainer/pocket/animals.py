"""Animals as a few strong shapes each; silhouettes differ before details do."""

import math

from trainer.pocket.pen import INK, WHITE, Colour, Look, Pen, mixed

BEAK: Colour = (240, 150, 30)
BLUSH: Colour = (245, 170, 180)


def draw_dog(pen: Pen, look: Look) -> None:
    """Side view: long body on four legs, drooping ear, snout to the right, tail up."""
    paint, dark = look.paint, look.dark
    leg = look.vary(0.5, 0.15)
    pen.line([(-0.62, 0.1), (-0.85, -0.2), (-0.8, -0.42)], dark, 0.14)
    for left in (-0.6, -0.32, 0.1, 0.36):
        pen.box(left, 0.35, left + 0.18, 0.42 + leg, dark if left in {-0.32, 0.36} else paint)
    pen.oval(-0.1, 0.2, 0.62, look.vary(0.32), paint)
    pen.oval(0.78, -0.2, look.vary(0.26), 0.17, paint)
    pen.oval(0.5, -0.32, 0.34, 0.34, paint)
    pen.oval(0.98, -0.26, 0.09, 0.08, INK, outline=0)
    pen.oval(0.3, -0.24, 0.14, look.vary(0.34, 0.25), dark, turn=12)
    pen.eye(0.6, -0.4, 0.1)


def draw_cat(pen: Pen, look: Look) -> None:
    """Sitting, seen from the front: pointed ears, whiskers, tail curled to the side."""
    paint, dark = look.paint, look.dark
    tail = [(0.3 + 0.5 * math.sin(step / 4), 0.85 - 0.16 * step) for step in range(7)]
    pen.line(tail, dark, 0.17)
    pen.oval(0, 0.5, look.vary(0.44, 0.15), 0.48, paint)
    for side in (-1, 1):
        pen.fill([(side * 0.5, -0.3), (side * 0.52, -0.98), (side * 0.08, -0.62)], paint)
        pen.fill([(side * 0.43, -0.45), (side * 0.44, -0.8), (side * 0.22, -0.6)], BLUSH, outline=0)
    pen.oval(0, -0.3, look.vary(0.52, 0.1), 0.42, paint)
    for side in (-1, 1):
        pen.oval(side * 0.21, -0.36, 0.13, 0.15, (190, 225, 80), outline=0.03)
        pen.oval(side * 0.21, -0.36, 0.05, 0.13, INK, outline=0)
        pen.line([(side * 0.15, -0.12), (side * 0.68, -0.2)], dark, 0.03)
        pen.line([(side * 0.15, -0.07), (side * 0.68, -0.02)], dark, 0.03)
        pen.oval(side * 0.2, 0.92, 0.17, 0.1, paint)
    pen.fill([(-0.08, -0.18), (0.08, -0.18), (0, -0.08)], (230, 110, 130), outline=0)


def draw_bird(pen: Pen, look: Look) -> None:
    """Side view: round body, pointed beak to the right, wing, thin legs, tail feathers."""
    paint, dark = look.paint, look.dark
    for x in (-0.1, 0.14):
        pen.line([(x, 0.4), (x, 0.88), (x + 0.18, 0.9)], BEAK, 0.07)
    pen.fill([(-0.4, 0.15), (-1.0, -0.2), (-0.98, 0.2), (-0.85, 0.34)], dark)
    pen.oval(-0.05, 0.12, 0.56, look.vary(0.4, 0.15), paint, turn=-14)
    pen.fill([(0.66, -0.52), (1.0, -0.36), (0.64, -0.26)], BEAK)
    pen.oval(0.4, -0.4, 0.33, 0.31, paint)
    pen.oval(-0.16, 0.08, look.vary(0.36), 0.2, dark, turn=22)
    pen.eye(0.48, -0.47, 0.1)


def draw_fish(pen: Pen, look: Look) -> None:
    """Side view: lemon body, forked tail to the left, fins, round eye."""
    paint, dark = look.paint, look.dark
    pen.fill([(-0.5, 0.0), (-1.0, -0.5), (-0.84, 0.0), (-1.0, 0.5)], dark)
    pen.fill([(-0.3, -0.35), (0.05, look.vary(-0.78, 0.15)), (0.4, -0.35)], dark)
    pen.fill([(-0.1, 0.38), (0.05, 0.68), (0.3, 0.36)], dark)
    body = [(1.0, 0.0), (0.75, -0.3), (0.3, -0.46), (-0.2, -0.36), (-0.6, -0.06)]
    pen.fill([*body, *((x, -y) for x, y in reversed(body))], paint)
    pen.fill([(0.0, -0.02), (-0.3, 0.22), (0.05, 0.18)], dark)
    pen.line([(0.42, -0.38), (0.36, 0.0), (0.42, 0.38)], dark, 0.05)
    pen.eye(0.65, -0.1, 0.13)


def draw_rabbit(pen: Pen, look: Look) -> None:
    """From the front: two ears as long as the rest, small round body, white belly and teeth."""
    paint = look.paint
    for side in (-1, 1):
        pen.oval(side * 0.2, -0.66, 0.15, look.vary(0.4, 0.1), paint, turn=side * 10)
        pen.oval(side * 0.2, -0.66, 0.06, 0.28, BLUSH, turn=side * 10, outline=0)
        pen.oval(side * 0.32, 0.92, 0.26, 0.1, paint)
    pen.oval(0, 0.58, look.vary(0.42, 0.15), 0.38, paint)
    pen.oval(0, 0.64, 0.23, 0.25, mixed(paint.colour, WHITE, 0.75), outline=0)
    pen.oval(0, -0.06, 0.38, 0.34, paint)
    for side in (-1, 1):
        pen.oval(side * 0.15, -0.12, 0.07, 0.09, WHITE if sum(paint.colour) < 160 else INK, outline=0)
        pen.oval(side * 0.34, 0.42, 0.12, 0.2, paint, turn=side * -20)
    pen.oval(0, 0.03, 0.06, 0.05, (230, 110, 130), outline=0)
    pen.box(-0.07, 0.1, 0.07, 0.24, WHITE, outline=0.03)


def draw_butterfly(pen: Pen, look: Look) -> None:
    """From above: four spread wings, thin dark body, antennae."""
    paint, dark = look.paint, look.dark
    for side in (-1, 1):
        pen.line([(0, -0.45), (side * 0.22, -0.92)], INK, 0.05)
        lower = [(side * 0.06, 0.1), (side * 0.7, 0.2), (side * 0.72, 0.7), (side * 0.35, look.vary(0.86, 0.1))]
        pen.fill(lower, dark)
        upper = [(side * 0.06, 0.1), (side * 0.1, -0.3), (side * 0.75, -0.8), (side * 0.98, -0.55), (side * 0.82, 0.18)]
        pen.fill(upper, paint)
        pen.oval(side * 0.66, -0.36, 0.16, 0.16, WHITE if sum(paint.colour) < 600 else INK, outline=0)
        pen.oval(side * 0.46, 0.45, 0.11, 0.11, paint.colour, outline=0)
    pen.oval(0, 0.08, 0.1, 0.58, INK, outline=0)
    pen.oval(0, -0.5, 0.12, 0.12, INK, outline=0)


def draw_snail(pen: Pen, look: Look) -> None:
    """Side view: spiral shell in the colour, pale foot, two stalks with eyes."""
    paint, dark = look.paint, look.dark
    skin = (222, 196, 150)
    for x in (0.66, 0.9):
        pen.line([(0.72, 0.3), (x, -0.3)], skin, 0.08)
        pen.eye(x, -0.34, 0.09)
    pen.fill([(-0.98, 0.86), (-0.6, 0.55), (0.5, 0.5), (0.58, 0.1), (0.84, 0.06), (0.95, 0.3), (0.8, 0.86)], skin)
    pen.oval(-0.15, 0.08, look.vary(0.62, 0.08), 0.62, paint)
    spiral = [
        (-0.15 + (0.5 - 0.03 * step) * math.cos(step * 0.7), 0.08 + (0.5 - 0.03 * step) * math.sin(step * 0.7))
        for step in range(17)
    ]
    pen.line(spiral, dark, 0.09)


ANIMALS = {
    "dog": draw_dog,
    "cat": draw_cat,
    "bird": draw_bird,
    "fish": draw_fish,
    "rabbit": draw_rabbit,
    "butterfly": draw_butterfly,
    "snail": draw_snail,
}
