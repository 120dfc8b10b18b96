"""Scenes with two things: what a prompt asks for, and a reader of its own that says what a picture shows.

Left and right are answers of the reader; a caption's "and" does not say which thing is where, so either order is right.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.pocket.oracle import QUESTIONS
from trainer.pocket.pools import UNTOLD
from trainer.pocket.scenes import ScenePlan
from trainer.pocket.vocabulary import BACKGROUNDS, CLASSES, COLOURS

PAIR_QUESTIONS = (*QUESTIONS[:2], *QUESTIONS[:2], QUESTIONS[2])
"""Class and colour on the left, class and colour on the right, background."""


@dataclass(frozen=True, kw_only=True)
class Right:
    """Which of N pictures show what was asked for: of both things the class, of both the colour; and the background."""

    class_word: NDArray[np.bool_]
    colour: NDArray[np.bool_]
    background: NDArray[np.bool_]


def pair_labels(plan: ScenePlan) -> tuple[int, int, int, int, int]:
    """The answers of a scene with two things, as numbers in the order of `PAIR_QUESTIONS`; `UNTOLD` where it has a style."""
    if plan.style:
        return UNTOLD, UNTOLD, UNTOLD, UNTOLD, UNTOLD
    left, right = plan.things
    return (
        CLASSES.index(left.class_word),
        COLOURS.index(left.colour),
        CLASSES.index(right.class_word),
        COLOURS.index(right.colour),
        tuple(BACKGROUNDS).index(plan.background),
    )


def read_right(found: NDArray[np.int64], asked: NDArray[np.int64]) -> Right:
    """Compare answers (N, 5) with the questions (N, 5), each picture in the order that suits it better."""
    swapped = asked[:, [2, 3, 0, 1, 4]]
    as_asked, turned = found == asked, found == swapped
    better = (turned[:, :4].sum(axis=1) > as_asked[:, :4].sum(axis=1))[:, None]
    hits = np.where(better, turned, as_asked)
    return Right(class_word=hits[:, 0] & hits[:, 2], colour=hits[:, 1] & hits[:, 3], background=hits[:, 4])
