"""The examination of a trajectory: new prompts, new seeds, read by the independent readers; for some files over the scales too.

Pictures are drawn once and kept beside the files, so a better reader costs no drawing. Legend: N pictures.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from storage.domain.plan import Plan, PreviewPrompt
from tests.benchmarks.examiner import NEW_OTHERS, NEW_PLACES, NEW_SEED, Score, asked_of
from tests.benchmarks.judging_readers import Reader
from tests.benchmarks.judging_trajectories import Trajectory, fit
from trainer.gpu.families import FAMILIES, Base
from trainer.gpu.preview import panel
from trainer.pocket import WEIGHTS
from trainer.pocket.oracle import Oracle, load_oracle
from trainer.pocket.pools import Pictures
from trainer.pocket.subjects import TestSubject
from trainer.pocket.vocabulary import BACKGROUNDS, CLASSES

OWN_SEEDS, OTHER_SEEDS = 4, 2
NEW_THINGS = ("an orange mushroom", "a green rabbit", "a purple rocket", "a brown teapot")
"""What a style is put on, in the new places."""
SCALES = (0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What the readers say of one file at one scale; every list in the order of its prompts, then of seeds."""

    likeness: tuple[float, ...]
    """Probability of the subject, of each picture with the trigger."""
    obeyed: tuple[bool, ...]
    """Whether the background (of a style: the thing) is what was asked for, of the same pictures."""
    others: tuple[bool, ...]
    """Whether class, colour and background are right, of each picture without the trigger."""

    def score(self, seeds: Collection[int] | None = None) -> Score:
        """The examiner's score, of all pictures or of those with some of the seeds (0 is a prompt's first one)."""
        own = [n for n in range(len(self.likeness)) if seeds is None or n % OWN_SEEDS in seeds]
        others = [
            n for n in range(len(self.others)) if seeds is None or n % OTHER_SEEDS in {s % OTHER_SEEDS for s in seeds}
        ]
        return Score(
            likeness=math.fsum(self.likeness[n] for n in own) / len(own),
            obedience=sum(self.obeyed[n] for n in own) / len(own),
            others=sum(self.others[n] for n in others) / len(others),
        )


def questions(subject: TestSubject, plan: Plan) -> list[PreviewPrompt]:
    """Four new prompts with the trigger, four without."""
    if subject.kind == "style":
        shown = [f"{thing} {place}, {plan.trigger} style" for thing, place in zip(NEW_THINGS, NEW_PLACES, strict=True)]
    else:
        shown = [f"a {plan.trigger} {plan.class_word} {place}" for place in NEW_PLACES]
    first = NEW_SEED + 100 * subject.index

    def seeds(row: int, count: int) -> tuple[int, ...]:
        return tuple(first + 10 * row + k for k in range(count))

    own = [PreviewPrompt(text=text, seeds=seeds(row, OWN_SEEDS)) for row, text in enumerate(shown)]
    others = [
        PreviewPrompt(text=text, seeds=seeds(len(own) + row, OTHER_SEEDS), with_trigger=False)
        for row, text in enumerate(NEW_OTHERS)
    ]
    return [*own, *others]


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """Drawn pictures and what each of them should show."""

    own: Pictures
    told: Sequence[str]
    """The place, or of a style the thing, of each picture with the trigger."""
    others: Pictures
    asked: Sequence[tuple[int, int, int]]
    """Class, colour and background of each picture without it."""


class Desk:
    """One base in memory that draws what trajectories are asked."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self.oracle: Oracle = load_oracle(WEIGHTS / "oracle")

    @cached_property
    def _base(self) -> Base:
        return FAMILIES["pocket"](str(WEIGHTS), fit(self._threads, 8))

    def drawn(
        self, subject: TestSubject, plan: Plan, trajectory: Trajectory, step: int, scales: Sequence[float]
    ) -> None:
        """Draws what is not kept yet."""
        missing = [scale for scale in scales if not answers_file(trajectory, step, scale).is_file()]
        if not missing:
            return
        prompts, base = questions(subject, plan), self._base
        words = {text: base.encode_texts([text]) for text in ["", *(prompt.text for prompt in prompts)]}
        base.wear(trajectory.file(step))
        try:
            for scale in missing:
                base.weigh(scale)
                found = panel(base, plan, words, prompts=prompts)
                pictures = np.stack([np.asarray(found[cell].convert("RGB")) for cell in sorted(found)])
                _keep(answers_file(trajectory, step, scale), pictures)
        finally:
            base.wear(None)

    def reading(self, subject: TestSubject, reader: Reader, trajectory: Trajectory, step: int, scale: float) -> Reading:
        """Reads what was drawn."""
        pictures = kept(answers_file(trajectory, step, scale))
        split = len(NEW_PLACES) * OWN_SEEDS
        asked = [asked_of(text) for text in NEW_OTHERS for _ in range(OTHER_SEEDS)]
        told = [
            thing if subject.kind == "style" else place for thing, place in zip(NEW_THINGS, NEW_PLACES, strict=True)
        ]
        told = [text for text in told for _ in range(OWN_SEEDS)]
        return self._read(subject, reader, Sheet(own=pictures[:split], told=told, others=pictures[split:], asked=asked))

    def reading_of_grid(
        self, subject: TestSubject, plan: Plan, reader: Reader, trajectory: Trajectory, step: int
    ) -> Reading:
        """Reads the previews that members see."""
        folder = trajectory.folder / "checkpoints" / str(step)

        def shown(*, triggered: bool) -> tuple[Pictures, list[str]]:
            rows = [row for row, prompt in enumerate(plan.prompts) if prompt.with_trigger == triggered]
            cells = [(row, seed) for row in rows for seed in plan.prompts[row].seeds]
            opened = [Image.open(folder / f"preview-{row}-{seed}.png").convert("RGB") for row, seed in cells]
            return np.stack([np.asarray(image) for image in opened]), [plan.prompts[row].plain for row, _ in cells]

        own, texts = shown(triggered=True)
        others, plain = shown(triggered=False)
        if subject.kind == "style":  # "a red cat on grass": the thing is what was asked for
            told = [" ".join(text.split()[:3]) for text in texts]
        else:
            told = [text.removeprefix(f"a {subject.class_word} ") for text in texts]
        sheet = Sheet(own=own, told=told, others=others, asked=[asked_of(text) for text in plain])
        return self._read(subject, reader, sheet)

    def _read(self, subject: TestSubject, reader: Reader, sheet: Sheet) -> Reading:
        if subject.kind == "style":
            obeyed = reader.classes(sheet.own) == np.array([CLASSES.index(thing.split()[-1]) for thing in sheet.told])
        else:
            places = list(BACKGROUNDS.values())
            obeyed = self.oracle.answers(sheet.own)[:, 2] == np.array([places.index(place) for place in sheet.told])
        return Reading(
            likeness=tuple(reader.likeness(sheet.own, subject).round(4).tolist()),
            obeyed=tuple(obeyed.tolist()),
            others=tuple((self.oracle.answers(sheet.others) == np.array(sheet.asked)).all(axis=1).tolist()),
        )


def answers_file(trajectory: Trajectory, step: int, scale: float) -> Path:
    """Where the pictures of an examination lie."""
    return trajectory.folder / "exam" / f"{step}-{scale:g}.npz"


def kept(file: Path) -> Pictures:
    """Pictures (N, 64, 64, 3) as they were drawn."""
    with np.load(file, allow_pickle=False) as inside:
        found: Pictures = inside["pictures"]
    return found


def _keep(file: Path, pictures: Pictures) -> None:
    """Whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    with part.open("wb") as handle:
        np.savez_compressed(handle, pictures=pictures)
    part.replace(file)
