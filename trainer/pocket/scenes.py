"""Scenes for pretraining: a plan drawn from (seed, index), and its picture and caption.

About 15 % of all (class, colour, background) combinations never occur: they are left for the gates.
"""

import zlib
from dataclasses import dataclass
from random import Random

from PIL import Image

from trainer.pocket.animals import ANIMALS
from trainer.pocket.backgrounds import BACKGROUND_PAINTERS
from trainer.pocket.captions import NONCE_SHARE, PERSONS, UNSAID_SHARE, caption, noun_phrase
from trainer.pocket.pen import Colour, Look, Paint, Pen, Pose
from trainer.pocket.people import draw_person, pretraining_identity
from trainer.pocket.styles import Style, styled
from trainer.pocket.things import THINGS
from trainer.pocket.toys import Build, draw_robot, draw_toy
from trainer.pocket.vocabulary import BACKGROUNDS, CLASSES, COLOURS, PATTERNS, STYLES, nonce

PALETTE: dict[str, Colour] = {
    "red": (218, 36, 40),
    "orange": (246, 130, 24),
    "yellow": (248, 218, 40),
    "green": (36, 150, 62),
    "blue": (36, 84, 214),
    "purple": (132, 52, 176),
    "pink": (250, 138, 190),
    "brown": (124, 76, 40),
    "black": (34, 32, 38),
    "white": (246, 246, 244),
}
PRETRAINING_FORMS = ("egg", "block")
PRETRAINING_CRESTS = ("antennae", "ears")
SUPERSAMPLE = 3
PAIRS = 0.1
"""Share of scenes with two things, at the widest."""


@dataclass(frozen=True, kw_only=True)
class Thing:
    """One thing of a scene, as its caption tells it."""

    class_word: str
    colour: str
    pose: Pose
    pattern: str = "plain"
    second: str = "white"


@dataclass(frozen=True, kw_only=True)
class ScenePlan:
    """Everything that decides a picture; `seed` feeds the details that no caption mentions."""

    things: tuple[Thing, ...]
    background: str
    caption: str
    style: str | None
    spread: float
    seed: str


def held_out(class_word: str, colour: str, background: str) -> bool:
    """True for the 15 % of combinations that no pretraining scene holds."""
    return zlib.crc32(f"{class_word}/{colour}/{background}".encode()) % 1000 < 150


def plan_scene(
    seed: int, index: int, spread: float, *, every_combination: bool = False, pairs: float = PAIRS
) -> ScenePlan:
    """The plan number `index` of a series; `spread` 0 is centred and plain, 1 is the whole variety.

    `every_combination` also draws the held-out ones: for measuring, never for pretraining. `pairs` is the share of scenes with
    two things, which a narrower spread lessens.
    """
    key = f"{seed}:{index}:{spread:.3f}"
    random = Random(key)
    background = random.choice(tuple(BACKGROUNDS))
    two = random.random() < pairs * spread
    things, phrases = [], []
    for place in (-1, 1) if two else (0,):
        thing, phrase = _thing(random, background, spread, place, every_combination=every_combination)
        things.append(thing)
        phrases.append(phrase)
    style = random.choice(STYLES) if random.random() < 0.14 * spread else None
    text = caption(random, phrases, background, style=style, plain=random.random() > 0.3 + spread)
    return ScenePlan(things=tuple(things), background=background, caption=text, style=style, spread=spread, seed=key)


def _thing(random: Random, background: str, spread: float, place: int, *, every_combination: bool) -> tuple[Thing, str]:
    class_word, colour = _combination(random, background, every=every_combination)
    pattern = random.choice(PATTERNS) if random.random() < 0.22 * spread else "plain"
    second = random.choice([name for name in COLOURS if name != colour])
    pose, size = _pose(random, spread, place)
    thing = Thing(class_word=class_word, colour=colour, pose=pose, pattern=pattern, second=second)
    phrase = noun_phrase(
        class_word,
        colour if random.random() > UNSAID_SHARE * spread else None,
        size=size,
        extra=nonce(random) if random.random() < NONCE_SHARE / 2 else None,
        tail=f"with {second} {pattern}" if pattern != "plain" else None,
    )
    return thing, phrase


def _combination(random: Random, background: str, *, every: bool) -> tuple[str, str]:
    while True:
        class_word, colour = random.choice(CLASSES), random.choice(COLOURS)
        if every or not held_out(class_word, colour, background):
            return class_word, colour


def _pose(random: Random, spread: float, place: int) -> tuple[Pose, str | None]:
    """A pose and the size word that belongs to it; two things share the frame left and right."""
    height = 0.74 + (0.03 + 0.17 * spread) * random.uniform(-1, 1)
    size = None
    if not place and random.random() < 0.16 * spread:
        size = random.choice(("small", "big"))
        height = random.uniform(0.36, 0.46) if size == "small" else random.uniform(0.95, 1.1)
    if place:
        height = random.uniform(0.42, 0.52)
    slack = 0.02 + 0.12 * spread * (1.0 if height < 0.8 else 0.4)
    pose = Pose(
        x=0.5 + 0.25 * place + random.uniform(-slack, slack) * (0.3 if place else 1),
        y=0.53 + random.uniform(-slack, slack),
        height=height,
        turn=random.uniform(-1, 1) * (2 + 12 * spread),
        mirrored=random.random() < 0.5 * min(1.0, spread * 2),
    )
    return pose, size


def draw_thing(pen: Pen, class_word: str, look: Look) -> None:
    """The thing itself, with the details of the pretraining split."""
    random, spread = look.random, look.spread
    if class_word in PERSONS:
        woman = class_word == "woman"
        draw_person(pen, look, pretraining_identity(random, woman=woman, spread=spread), woman=woman)
    elif class_word in {"toy", "robot"}:
        varied = random.random() < spread / 2
        form = "egg" if class_word == "toy" else "block"
        crest = "antennae"
        if varied and class_word == "toy":
            form, crest = random.choice(PRETRAINING_FORMS), random.choice(PRETRAINING_CRESTS)
        (draw_toy if class_word == "toy" else draw_robot)(pen, look, Build(form=form, crest=crest))
    else:
        (ANIMALS | THINGS)[class_word](pen, look)


def draw_scene(plan: ScenePlan, px: int = 64) -> Image.Image:
    """The picture of a plan, RGB, px x px; drawn larger and shrunk, so that edges are smooth."""
    random = Random(plan.seed + "/details")
    canvas = BACKGROUND_PAINTERS[plan.background](px * SUPERSAMPLE, random, plan.spread)
    for thing in plan.things:
        paint = Paint(
            colour=_near(PALETTE[thing.colour], random),
            pattern=thing.pattern,
            second=_near(PALETTE[thing.second], random),
        )
        look = Look(paint=paint, random=random, spread=plan.spread)
        draw_thing(Pen(canvas, thing.pose), thing.class_word, look)
    return finished(canvas, px, Style(name=plan.style) if plan.style else None)


def finished(canvas: Image.Image, px: int, style: Style | None) -> Image.Image:
    """The canvas through its style, at its final size."""
    filtered = styled(canvas, style) if style else canvas
    return filtered.resize((px, px), Image.Resampling.BOX)


def _near(colour: Colour, random: Random) -> Colour:
    red, green, blue = (min(255, max(0, value + random.randint(-9, 9))) for value in colour)
    return red, green, blue
