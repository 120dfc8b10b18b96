"""The independent readers of the judging study: whose picture is this, did it obey, and were others left alone?

Trained on the generator alone, half of it through the shipped autoencoder, with blur and noise on top (`oracle.seen_through`), and
with an answer for "none of them": the base's own things and strangers of the same type. `judging_check` measures them first.

Legend: N pictures, W ways.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from PIL import Image

from tests.benchmarks.examiner import DEVELOPMENT, WAYS
from tests.benchmarks.trainings import base_digest, held
from trainer.pocket import WEIGHTS
from trainer.pocket.backgrounds import BACKGROUND_PAINTERS
from trainer.pocket.clip import floats
from trainer.pocket.oracle import Material, Oracle, load_oracle, save_oracle, train_oracle
from trainer.pocket.pen import Look, Paint, Pen, Pose
from trainer.pocket.pools import UNTOLD, Pictures
from trainer.pocket.scenes import PALETTE, SUPERSAMPLE, draw_scene, draw_thing, finished, plan_scene
from trainer.pocket.subjects import Kind, TestSubject, test_subject
from trainer.pocket.vocabulary import BACKGROUNDS, CLASSES

RENDERS_EACH = 96
FOR_STYLES = 3
"""Times as many renderings and twice the steps: with 96 and 900 things were read right in 83 % of styled ones."""
NONE_TIMES = 6
""""None of them" is drawn as often as so many subjects together: half the base's own things, half strangers."""
STRANGERS, STRANGERS_FROM = 20, 20
"""Subjects that no reader tells apart."""
STEPS = 900
"""Of 64 pictures: about two minutes of one thread."""
FIRST_RENDER = 500_000
LATENT_NOISE = 0.1
"""Of the latents' own spread, before they are decoded again."""
SPREADS = (0.3, 0.6, 0.9)
"""Of poses: previews are wider and narrower than a member's pictures."""
VERSION = 2
"""Of how readers are made: another one trains them again."""


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Tells the subjects of one type from each other and from everything else."""

    subjects: tuple[TestSubject, ...]
    oracle: Oracle

    @torch.no_grad()
    def likeness(self, pictures: Pictures, subject: TestSubject) -> NDArray[np.float64]:
        """Probability (N,) that this is the subject, among its kind, strangers and what the base draws."""
        return self.probabilities(pictures)[:, self.way(subject)]

    @torch.no_grad()
    def probabilities(self, pictures: Pictures) -> NDArray[np.float64]:
        """Of all ways (N, W + 1); the last is none of them."""
        found: NDArray[np.float64] = self.oracle.eval()(floats(pictures))[0].softmax(dim=1).double().numpy()
        return found

    def way(self, subject: TestSubject) -> int:
        """Which way a subject is."""
        return [known.index for known in self.subjects].index(subject.index)

    def classes(self, pictures: Pictures) -> NDArray[np.int64]:
        """What styled pictures show (N,), as `CLASSES` counts."""
        return self.oracle.answers(pictures)[:, 1]


def reader_of(subject: TestSubject, out: Path, *, wait: bool = True) -> Reader:
    """The reader of the subject's type, trained once and kept: one knows the compared subjects, one the development ones."""
    return _reader(subject.kind, DEVELOPMENT if subject.index >= DEVELOPMENT else 0, out, wait)


@cache
def _reader(kind: Kind, first: int, out: Path, wait: bool) -> Reader:  # noqa: FBT001 -- cached by position
    subjects = tuple(test_subject(kind, first + number) for number in range(WAYS))
    folder = out / "readers" / f"{kind}-{first}-{VERSION}-{base_digest()[:12]}"
    with held(folder.with_suffix(".lock"), wait=wait):
        if not (folder / "model.safetensors").is_file():
            save_oracle(_taught(kind, subjects), folder)
    return Reader(subjects=subjects, oracle=load_oracle(folder))


def _taught(kind: Kind, subjects: Sequence[TestSubject]) -> Oracle:
    styled = kind == "style"
    told = material(kind, subjects, first=FIRST_RENDER, each=RENDERS_EACH * (FOR_STYLES if styled else 1))
    both = Material(
        pictures=np.concatenate([told.pictures, round_trips(told.pictures, seed=1)]),
        answers=np.concatenate([told.answers, told.answers]),
    )
    questions = [len(subjects) + 1, len(CLASSES)] if kind == "style" else [len(subjects) + 1]
    return train_oracle(both, questions, steps=2 * STEPS if styled else STEPS)


def material(kind: Kind, subjects: Sequence[TestSubject], *, first: int, each: int) -> Material:
    """Fresh renderings of every subject and of what is none of them; answers are the way and, of styles, the class too."""
    strangers = [test_subject(kind, STRANGERS_FROM + n) for n in range(STRANGERS)]
    drawn = [(_shown(subject, first + n), way) for way, subject in enumerate(subjects) for n in range(each)]
    for n in range(NONE_TIMES * each // 2):
        drawn.append((_shown(strangers[n % STRANGERS], first + n), len(subjects)))
        drawn.append((_own_of_the_base(kind, subjects, first + n), len(subjects)))
    answers = [(way, shown.class_number)[: 2 if kind == "style" else 1] for shown, way in drawn]
    return Material(
        pictures=np.stack([np.asarray(shown.picture) for shown, _ in drawn]), answers=np.array(answers, dtype=np.int64)
    )


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A rendering, and which of `CLASSES` it shows; `UNTOLD` where nobody asks."""

    picture: Image.Image
    class_number: int = UNTOLD


def _shown(subject: TestSubject, seed: int) -> Shown:
    """A picture of a subject, or of a thing in a style."""
    place = tuple(BACKGROUNDS)[seed % len(BACKGROUNDS)]
    if subject.style is None:
        return Shown(picture=subject.render(place, seed, spread=SPREADS[seed // len(BACKGROUNDS) % len(SPREADS)]))
    number = Random(f"shows {subject.index} {seed}").randrange(len(CLASSES))
    return Shown(picture=styled_thing(subject, CLASSES[number], place, seed), class_number=number)


def styled_thing(subject: TestSubject, class_word: str, place: str, seed: int) -> Image.Image:
    """A thing of a class in one of the palette's colours, through a style; spread and pose as in scenes."""
    random = Random(f"styled {subject.index} {class_word} {place} {seed}")
    spread = SPREADS[seed % len(SPREADS)]
    canvas = BACKGROUND_PAINTERS[place](64 * SUPERSAMPLE, random, spread)
    pose = Pose(
        x=0.5 + 0.1 * spread * random.uniform(-1, 1),
        y=0.53 + 0.08 * spread * random.uniform(-1, 1),
        height=0.76 + 0.14 * spread * random.uniform(-1, 1),
        turn=12 * spread * random.uniform(-1, 1),
    )
    look = Look(paint=Paint(colour=PALETTE[random.choice(tuple(PALETTE))]), random=random)
    draw_thing(Pen(canvas, pose), class_word, look)
    return finished(canvas, 64, subject.style)


def _own_of_the_base(kind: Kind, subjects: Sequence[TestSubject], seed: int) -> Shown:
    """What the base knows by the subjects' class words; instead of a style any scene, with one of its own styles or none."""
    plan = plan_scene(FIRST_RENDER, seed, SPREADS[seed % len(SPREADS)], every_combination=True, pairs=0.0)
    if kind == "style":
        return Shown(picture=draw_scene(plan), class_number=CLASSES.index(plan.things[0].class_word))
    words = sorted({subject.class_word for subject in subjects})
    thing = replace(plan.things[0], class_word=words[seed % len(words)])
    return Shown(picture=draw_scene(replace(plan, things=(thing,), style=None)))


@cache
def _autoencoder() -> AutoencoderKL:
    return AutoencoderKL.from_pretrained(WEIGHTS / "vae", local_files_only=True).float().eval()


@torch.no_grad()
def round_trips(pictures: Pictures, *, seed: int, noise: float = LATENT_NOISE) -> Pictures:
    """Pictures through the shipped autoencoder, with a little noise on the latents, as bytes again."""
    vae, draw, found = _autoencoder(), torch.Generator().manual_seed(seed), []
    for at in range(0, len(pictures), 64):
        latents = vae.encode(floats(pictures[at : at + 64])).latent_dist.mean
        latents = latents + noise * latents.std() * torch.randn(latents.shape, generator=draw)
        found.append(as_bytes(vae.decode(latents).sample))
    return np.concatenate(found)


def as_bytes(pictures_BCHW: torch.Tensor) -> Pictures:
    """The inverse of `floats`."""
    levels = ((pictures_BCHW.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return levels.permute(0, 2, 3, 1).contiguous().numpy()
