"""Portraits (head and shoulders) of persons with an identity that can be kept over many pictures."""

import math
from dataclasses import dataclass
from random import Random

from trainer.pocket.pen import INK, WHITE, Colour, Look, Paint, Pen, mixed, oval

SKINS: tuple[Colour, ...] = ((250, 218, 190), (236, 188, 148), (205, 150, 105), (150, 98, 62), (98, 62, 42))
HAIRS: tuple[Colour, ...] = ((40, 30, 28), (92, 56, 32), (150, 100, 55), (225, 185, 95), (180, 80, 35))
LIPS: Colour = (195, 80, 85)


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What makes one person the same in every picture; lengths in units of the thing's box."""

    skin: Colour
    hair: Colour
    hairstyle: str
    face_width: float = 0.38
    face_height: float = 0.46
    glasses: str = "none"  # none, round, square
    beard: str = "none"  # none, full, moustache, goatee
    hat: str = "none"  # none, cap, beanie, tophat
    hat_colour: Colour = WHITE


def pretraining_identity(random: Random, *, woman: bool, spread: float) -> Identity:
    """A person of the pretraining split: natural hair, plain styles, no hats; one look per sex when spread is 0."""
    varied = random.random() < spread
    beard = random.choice(("none", "full", "moustache")) if varied else "moustache"
    return Identity(
        skin=random.choice(SKINS) if varied else SKINS[random.randrange(1, 4)],
        hair=random.choice(HAIRS) if varied else HAIRS[random.randrange(2)],
        hairstyle=random.choice(("long", "bun")) if woman and varied else "long" if woman else "short",
        face_width=0.38 + 0.05 * spread * random.uniform(-1, 1),
        face_height=0.46 + 0.05 * spread * random.uniform(-1, 1),
        glasses="round" if varied and random.random() < 0.3 else "none",
        beard="none" if woman else beard,
    )


def draw_person(pen: Pen, look: Look, identity: Identity, *, woman: bool) -> None:
    """The portrait; the paint of the look is the clothing."""
    _hair_behind(pen, identity)
    _shoulders(pen, look.paint, identity, woman=woman)
    pen.oval(0, -0.22, identity.face_width, identity.face_height, identity.skin)
    for side in (-1, 1):
        pen.oval(side * identity.face_width, -0.2, 0.07, 0.1, identity.skin, outline=0.03)
    _face(pen, identity, woman=woman)
    _beard(pen, identity)
    _hair_above(pen, identity)
    _glasses(pen, identity)
    _hat(pen, identity)


def _shoulders(pen: Pen, clothing: Paint, identity: Identity, *, woman: bool) -> None:
    wide = 0.68 if woman else 0.95
    pen.fill(
        [(-wide, 1.1), (-wide, 0.72), (-wide + 0.3, 0.46), (wide - 0.3, 0.46), (wide, 0.72), (wide, 1.1)], clothing
    )
    pen.box(-0.14, 0.1, 0.14, 0.5, identity.skin, outline=0)
    pen.fill([(-0.22, 0.44), (0.22, 0.44), (0, 0.72)], identity.skin, outline=0)


def _face(pen: Pen, identity: Identity, *, woman: bool) -> None:
    brow = mixed(identity.hair, INK, 0.4)
    for side in (-1, 1):
        pen.oval(side * 0.16, -0.24, 0.085, 0.07, WHITE, outline=0)
        pen.oval(side * 0.16, -0.24, 0.05, 0.06, INK, outline=0)
        pen.line([(side * 0.07, -0.37), (side * 0.26, -0.38)], brow, 0.05 if not woman else 0.03)
    pen.line([(0, -0.18), (0.05, -0.06), (-0.02, -0.05)], mixed(identity.skin, INK, 0.35), 0.035)
    mouth = LIPS if woman else mixed(identity.skin, (120, 40, 40), 0.6)
    pen.oval(0, 0.08, 0.14 if woman else 0.12, 0.05, mouth, outline=0)


def _beard(pen: Pen, identity: Identity) -> None:
    if identity.beard == "full":
        low = [
            (identity.face_width * 1.02 * math.cos(math.pi * s / 10), -0.05 + 0.42 * math.sin(math.pi * s / 10))
            for s in range(11)
        ]
        pen.fill([*low, (-0.2, 0.0), (0.2, 0.0)], identity.hair, outline=0)
        pen.oval(0, 0.1, 0.1, 0.035, LIPS, outline=0)
    if identity.beard == "moustache":
        pen.oval(-0.1, 0.02, 0.13, 0.05, identity.hair, turn=-10, outline=0)
        pen.oval(0.1, 0.02, 0.13, 0.05, identity.hair, turn=10, outline=0)
    if identity.beard == "goatee":
        pen.oval(0, 0.22, 0.13, 0.14, identity.hair, outline=0)
        pen.oval(0, 0.08, 0.08, 0.035, LIPS, outline=0)


def _hair_behind(pen: Pen, identity: Identity) -> None:
    wide = identity.face_width
    if identity.hairstyle == "long":
        pen.fill([*oval(0, -0.3, wide + 0.2, 0.5)[14:], (wide + 0.24, 0.62), (-wide - 0.24, 0.62)], identity.hair)
    if identity.hairstyle == "bob":
        pen.fill([*oval(0, -0.3, wide + 0.22, 0.5)[14:], (wide + 0.26, 0.1), (-wide - 0.26, 0.1)], identity.hair)
    if identity.hairstyle == "afro":
        pen.oval(0, -0.4, wide + 0.36, 0.58, identity.hair)
    if identity.hairstyle == "bun":
        pen.oval(0, -0.86, 0.2, 0.18, identity.hair)
    if identity.hairstyle == "pigtails":
        for side in (-1, 1):
            pen.oval(side * (wide + 0.28), -0.1, 0.2, 0.4, identity.hair, turn=side * -20)


def _cap_of_hair(pen: Pen, identity: Identity, *, low: float) -> None:
    top = oval(0, -0.3, identity.face_width + 0.06, identity.face_height)[14:]
    pen.fill(
        [*top, (identity.face_width * 0.9, low), (0.1, low - 0.14), (-identity.face_width * 0.9, low)], identity.hair
    )


def _hair_above(pen: Pen, identity: Identity) -> None:
    if identity.hairstyle in {"short", "long", "bun", "bob", "pigtails", "afro"}:
        _cap_of_hair(pen, identity, low=-0.36)
    if identity.hairstyle == "mohawk":
        pen.fill([(-0.12, -0.5), (-0.16, -1.0), (0.16, -1.0), (0.12, -0.5)], identity.hair)
    if identity.hairstyle == "spikes":
        for step in range(5):
            x = (step - 2) * identity.face_width * 0.45
            pen.fill([(x - 0.13, -0.5), (x * 1.4, -1.0 + 0.04 * (step - 2) ** 2), (x + 0.13, -0.5)], identity.hair)


def _glasses(pen: Pen, identity: Identity) -> None:
    if identity.glasses == "none":
        return
    for side in (-1, 1):
        if identity.glasses == "round":
            ring = oval(side * 0.17, -0.23, 0.15, 0.14)
        else:
            ring = [
                (side * 0.17 + x, -0.23 + y) for x, y in ((-0.16, -0.11), (0.16, -0.11), (0.16, 0.11), (-0.16, 0.11))
            ]
        pen.line([*ring, ring[0]], INK, 0.05)
    pen.line([(-0.04, -0.25), (0.04, -0.25)], INK, 0.05)


def _hat(pen: Pen, identity: Identity) -> None:
    wide = identity.face_width
    if identity.hat == "beanie":
        pen.fill(
            [*oval(0, -0.42, wide + 0.1, 0.44)[14:], (wide + 0.1, -0.38), (-wide - 0.1, -0.38)], identity.hat_colour
        )
        pen.oval(0, -0.88, 0.1, 0.1, WHITE)
    if identity.hat == "tophat":
        pen.box(-wide * 0.8, -1.05, wide * 0.8, -0.5, identity.hat_colour)
        pen.box(-wide - 0.22, -0.56, wide + 0.22, -0.44, identity.hat_colour)
    if identity.hat == "cap":
        pen.fill(
            [
                *oval(0, -0.46, wide + 0.08, 0.36)[14:],
                (wide + 0.45, -0.46),
                (wide + 0.45, -0.38),
                (-wide - 0.08, -0.38),
            ],
            identity.hat_colour,
        )
