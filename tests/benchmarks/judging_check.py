"""Before the readers judge anything: are they right where the truth is known?

    python -m tests.benchmarks.judging_check --out runs/judging

Prints how often each is right on renderings it has not seen, through the autoencoder too (95 % is asked for); whether its answer
falls as a subject is blended into another one of its type, blurred or drowned in noise; and the same of the reader of places,
colours and classes. `judging_sheet` asks a person. EXPERIMENTS.md, "Which checkpoint is best".
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from tests.benchmarks.examiner import COMPARED, DEVELOPMENT
from tests.benchmarks.judging_cases import KINDS
from tests.benchmarks.judging_readers import Reader, material, reader_of, round_trips, styled_thing
from trainer.pocket import WEIGHTS
from trainer.pocket.gates import drawn_scenes
from trainer.pocket.oracle import Oracle, load_oracle
from trainer.pocket.pools import Pictures
from trainer.pocket.subjects import Kind, TestSubject, test_subject
from trainer.pocket.vocabulary import BACKGROUNDS, CLASSES

WANTED = 0.95
UNSEEN = 700_000
"""Renderings start here; readers learn from others."""
EACH = 12
LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)
SLACK = 0.01
"""A mean probability may rise by so much from one level to the next: it is a mean over few pictures."""
MOST_BLUR_PX, MOST_NOISE = 3.0, 0.9
"""Of 64 pixels, and of pixels in -1..1."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One thing that was checked."""

    what: str
    figure: str
    passed: bool


def right(found: NDArray[np.int64], asked: NDArray[np.int64]) -> float:
    """Share of answers that are right."""
    return float((found == asked).mean())


def accuracy(kind: Kind, first: int, reader: Reader) -> list[Line]:
    """On unseen renderings, as they are and through the autoencoder; of the subjects that are compared, and of none of them."""
    told = material(kind, reader.subjects, first=UNSEEN, each=EACH)
    lines = []
    for name, pictures in (("drawn", told.pictures), ("through the autoencoder", round_trips(told.pictures, seed=2))):
        answers = reader.oracle.answers(pictures)
        lines.append(_share(f"{kind} {first}-, {name}, whose", right(answers[:, 0], told.answers[:, 0])))
        if kind == "style":
            lines.append(_share(f"{kind} {first}-, {name}, which thing", right(answers[:, 1], told.answers[:, 1])))
    return lines


def plain(oracle: Oracle) -> list[Line]:
    """Class, colour and background of drawn scenes through the autoencoder, by the reader of others and places."""
    pictures, labels = drawn_scenes(600)
    found = oracle.answers(round_trips(pictures, seed=3))
    names = ("class", "colour", "background")
    return [
        _share(f"scenes, through the autoencoder, {n}", right(found[:, q], labels[:, q])) for q, n in enumerate(names)
    ]


def places(kind: Kind, first: int, oracle: Oracle) -> Line:
    """Whether the background behind a subject is read, through the autoencoder."""
    names = tuple(BACKGROUNDS)
    subjects = [test_subject(kind, first + n) for n in range(10)]
    drawn = [(s.render(place, UNSEEN + n), names.index(place)) for s in subjects for n, place in enumerate(names)]
    found = oracle.answers(round_trips(_bytes([picture for picture, _ in drawn]), seed=4))[:, 2]
    return _share(
        f"{kind} {first}-, through the autoencoder, background", right(found, np.array([p for _, p in drawn]))
    )


def falling(kind: Kind, first: int, reader: Reader) -> list[Line]:
    """The subject's probability, as it is blended into a neighbour, blurred, and drowned in noise."""
    subjects = [test_subject(kind, first + n) for n in range(10)]
    lines = []
    for name, change in CHANGES.items():
        means = [_mean_probability(reader, subjects, change, level) for level in LEVELS]
        falls = all(later <= earlier + SLACK for earlier, later in pairwise(means))
        lines.append(Line(what=f"{kind} {first}-, {name}", figure=" ".join(f"{m:.2f}" for m in means), passed=falls))
    return lines


def _rendering(subject: TestSubject, number: int) -> Image.Image:
    place = tuple(BACKGROUNDS)[number % len(BACKGROUNDS)]
    if subject.style:
        return styled_thing(subject, CLASSES[number % len(CLASSES)], place, UNSEEN)
    return subject.render(place, UNSEEN)


def _blended(subject: TestSubject, number: int, level: float) -> Image.Image:
    """Into the next subject of its type, in the same pose and place."""
    return Image.blend(
        _rendering(subject, number), _rendering(test_subject(subject.kind, subject.index + 1), number), level
    )


def _blurred(subject: TestSubject, number: int, level: float) -> Image.Image:
    return _rendering(subject, number).filter(ImageFilter.GaussianBlur(MOST_BLUR_PX * level))


def _noisy(subject: TestSubject, number: int, level: float) -> Image.Image:
    picture = np.asarray(_rendering(subject, number), dtype=np.float32)
    noise = np.random.default_rng(number).normal(0, 127.5 * MOST_NOISE * level, picture.shape)
    return Image.fromarray((picture + noise).clip(0, 255).astype(np.uint8))


Change = Callable[[TestSubject, int, float], Image.Image]
"""Of a subject, a picture's number and a level."""
CHANGES: dict[str, Change] = {
    "blended into a neighbour": _blended,
    "blurred": _blurred,
    "in noise": _noisy,
}


def _mean_probability(reader: Reader, subjects: Sequence[TestSubject], change: Change, level: float) -> float:
    found = [
        reader.likeness(round_trips(_bytes([change(subject, n, level) for n in range(8)]), seed=5), subject).mean()
        for subject in subjects
    ]
    return float(np.mean(found))


def _bytes(pictures: Sequence[Image.Image]) -> Pictures:
    return np.stack([np.asarray(picture) for picture in pictures])


def _share(what: str, share: float) -> Line:
    return Line(what=what, figure=f"{share:.1%}", passed=share >= WANTED)


def lines_of(kind: Kind, out: Path) -> list[Line]:
    """All checks of a type: of the reader of compared subjects and of the one of development subjects."""
    oracle, found = load_oracle(WEIGHTS / "oracle"), []
    for known, shown in ((0, COMPARED), (DEVELOPMENT, DEVELOPMENT)):
        reader = reader_of(test_subject(kind, shown), out)
        found += accuracy(kind, known, reader)
        if kind != "style":
            found.append(places(kind, shown, oracle))
        found += falling(kind, shown, reader)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains what readers are missing, then prints the table."""
    parser = argparse.ArgumentParser(description="Check the readers of the judging study.")
    parser.add_argument("--out", type=Path, default=Path("runs/judging"))
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    lines = plain(load_oracle(WEIGHTS / "oracle"))
    for kind in given.kinds:
        lines += lines_of(kind, given.out.absolute())
    print("| checked | figure | |\n| --- | --- | --- |")
    print("\n".join(f"| {line.what} | {line.figure} | {'passed' if line.passed else 'MISSED'} |" for line in lines))
    print(f"readers: {sum(line.passed for line in lines)} of {len(lines)} checks passed")


if __name__ == "__main__":
    main()
