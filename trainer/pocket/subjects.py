"""Subjects for tests and benchmarks: persons, styles, objects and characters that pretraining never drew.

Forms, crests, patterns, hairstyles, palettes and filters here are disjoint from the ones of `scenes`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Literal

from PIL import Image

from trainer.pocket.backgrounds import BACKGROUND_PAINTERS
from trainer.pocket.pen import WHITE, Colour, Look, Paint, Pen, Pose, mixed
from trainer.pocket.people import SKINS, Identity, draw_person
from trainer.pocket.scenes import PALETTE, SUPERSAMPLE, draw_thing, finished
from trainer.pocket.styles import HELD_OUT_STYLES, Style
from trainer.pocket.toys import Build, draw_robot, draw_toy
from trainer.pocket.vocabulary import BACKGROUNDS, CLASSES

Kind = Literal["person", "style", "object", "character"]

TEST_FORMS = ("pear", "bell", "ghost", "diamond", "wide", "column", "heart", "hexagon", "cone", "cross")
TEST_CRESTS = ("horns", "crown", "leaf", "fin", "wings", "none")
TEST_PATTERNS = ("bars", "slant", "rings", "checks", "zigzag", "halves", "belt", "patches")
TEST_HAIRSTYLES = ("bob", "afro", "pigtails", "mohawk", "spikes", "bald")
TEST_COLOURS: tuple[Colour, ...] = (
    *((16, 150, 142), (222, 32, 146), (176, 222, 50), (252, 118, 92), (28, 40, 112), (188, 160, 240)),
    *((122, 128, 36), (64, 214, 216), (120, 20, 56), (212, 164, 30), (160, 236, 190), (252, 200, 158)),
)


@dataclass(frozen=True, kw_only=True)
class TestSubject:
    """One subject; `details` is the tuple that no other subject of its kind shares."""

    __test__ = False  # not a test class, whatever pytest makes of the name

    kind: Kind
    index: int
    class_word: str
    details: tuple[str | int | Colour, ...]
    paint: Paint
    draw: Callable[[Pen, Look, Random], None]
    style: Style | None = None

    def render(self, background: str, pose_seed: int, *, px: int = 64, spread: float = 0.6) -> Image.Image:
        """A picture of the subject on one of the eight backgrounds, in the pose of that seed."""
        random = Random(f"subject:{self.kind}:{self.index}:{background}:{pose_seed}")
        canvas = BACKGROUND_PAINTERS[background](px * SUPERSAMPLE, random, spread)
        pose = Pose(
            x=0.5 + 0.1 * spread * random.uniform(-1, 1),
            y=0.53 + 0.08 * spread * random.uniform(-1, 1),
            height=0.76 + 0.14 * spread * random.uniform(-1, 1),
            turn=12 * spread * random.uniform(-1, 1),
        )
        self.draw(Pen(canvas, pose), Look(paint=self.paint, random=random), random)
        return finished(canvas, px, self.style)

    def pictures(self, count: int, *, px: int = 64, first_seed: int = 0) -> list[Image.Image]:
        """`count` pictures going round the backgrounds."""
        places = tuple(BACKGROUNDS)
        return [self.render(places[n % len(places)], first_seed + n, px=px) for n in range(count)]


def test_subject(kind: Kind, index: int) -> TestSubject:
    """Subject number `index` of a kind; the first 60 of each are clearly different from each other."""
    return {"person": _person, "style": _style, "object": _object, "character": _character}[kind](index)


test_subject.__test__ = False  # type: ignore[attr-defined]  # pytest collects by name


def _paint(index: int) -> Paint:
    main = index * 5 % 12
    second = (main + 3 + index // 12 % 6 + index // 60) % 12
    pattern = TEST_PATTERNS[(index * 3 + index // 8) % len(TEST_PATTERNS)]
    return Paint(colour=TEST_COLOURS[main], pattern=pattern, second=TEST_COLOURS[second], pitch=0.4)


def _build(index: int) -> Build:
    return Build(
        form=TEST_FORMS[index % 10],
        crest=TEST_CRESTS[(index + index // 10) % 6],
        eyes=(2, 1, 3)[(index // 2 + index // 10) % 3],
        limbs=("round", "sticks", "none")[(index + index // 7) % 3],
        accent=TEST_COLOURS[(index * 7 + 4) % 12],
        smile=index % 4 != 3,
    )


def _object(index: int) -> TestSubject:
    build, paint = _build(index), _paint(index)
    return TestSubject(
        kind="object",
        index=index,
        class_word="toy",
        paint=paint,
        details=("toy", build.form, build.crest, paint.pattern, paint.colour, paint.second),
        draw=lambda pen, look, _random: draw_toy(pen, look, build),
    )


def _character(index: int) -> TestSubject:
    build, paint = _build(index + 3), _paint(index + 6)
    return TestSubject(
        kind="character",
        index=index,
        class_word="robot",
        paint=paint,
        details=("robot", build.form, build.crest, paint.pattern, paint.colour, paint.second),
        draw=lambda pen, look, _random: draw_robot(pen, look, build),
    )


def _person(index: int) -> TestSubject:
    woman, paint = index % 2 == 0, _paint(index)
    identity = Identity(
        skin=SKINS[(index * 2 + index // 5) % len(SKINS)],
        hair=TEST_COLOURS[(index * 7 + index // 12) % 12],
        hairstyle=TEST_HAIRSTYLES[(index + index // 6) % len(TEST_HAIRSTYLES)],
        face_width=(0.34, 0.42, 0.38)[index % 3],
        face_height=(0.5, 0.44)[index // 3 % 2],
        glasses=("none", "square", "round")[index // 2 % 3],
        beard="none" if woman else ("goatee", "full", "none")[index // 2 % 3],
        hat=("none", "cap", "none", "beanie", "none", "tophat", "none")[index % 7],
        hat_colour=TEST_COLOURS[(index * 5 + 2) % 12],
    )
    return TestSubject(
        kind="person",
        index=index,
        class_word="woman" if woman else "man",
        paint=paint,
        details=("woman" if woman else "man", identity.hairstyle, identity.hair, paint.pattern, paint.colour, index),
        draw=lambda pen, look, _random: draw_person(pen, look, identity, woman=woman),
    )


def _style(index: int) -> TestSubject:
    """A style has no thing of its own: every picture shows another class in another colour."""
    style = Style(
        name=HELD_OUT_STYLES[index % len(HELD_OUT_STYLES)],
        dark=((24, 30, 96), (96, 16, 40), (10, 70, 70), (60, 20, 90), (30, 30, 30))[index % 7 % 5],
        light=mixed(TEST_COLOURS[(index * 5 + 10) % 12], WHITE, 0.6),
        grain=(0.06, 0.075, 0.09)[index // 5 % 3],
    )

    def draw(pen: Pen, look: Look, random: Random) -> None:
        paint = Paint(colour=PALETTE[random.choice(tuple(PALETTE))])
        draw_thing(pen, random.choice(CLASSES), Look(paint=paint, random=look.random))

    return TestSubject(
        kind="style",
        index=index,
        class_word="style",
        style=style,
        paint=Paint(colour=TEST_COLOURS[0]),
        details=(style.name, style.dark, style.light, index),
        draw=draw,
    )
