"""The examination of a chosen file: what it draws with new prompts and new seeds, read by classifiers that nobody else asked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from storage.domain.plan import Fit, PreviewPrompt
from tests.benchmarks.trainings import Trained, held
from trainer.gpu.families import FAMILIES, Base
from trainer.gpu.preview import panel
from trainer.pocket import WEIGHTS
from trainer.pocket.clip import floats
from trainer.pocket.oracle import SubjectOracle, load_oracle, save_oracle, train_subject_oracle
from trainer.pocket.subjects import Kind, TestSubject, test_subject
from trainer.pocket.vocabulary import BACKGROUNDS, CLASSES, COLOURS

WAYS = 20
"""The classifier of a type knows this many subjects, the compared ones among them."""
COMPARED = 8
"""Compared subjects start here: recipe and judge were made while looking at earlier ones."""
DEVELOPMENT = 40
"""Development subjects start here: never compared, and unknown to the classifiers of the comparison."""
NEW_PLACES = ("in the desert", "in a room", "in the sky", "by a brick wall")
NEW_OTHERS = (
    "a green fish at sea",
    "a purple umbrella on grass",
    "a brown dog at night",
    "a white flower by a brick wall",
)
NEW_SEED = 77_000_000


@dataclass(frozen=True, kw_only=True)
class Score:
    """Of one chosen file, each in 0..1."""

    likeness: float
    """Probability that the classifier gives the subject, mean over new previews with the trigger."""
    obedience: float
    """Share of those whose background is the one that was asked for."""
    others: float
    """Share of new previews without the trigger whose class, colour and background are all right."""

    @property
    def whole(self) -> float:
        """Likeness where the prompt was followed, lessened where others suffered: the geometric mean of the three."""
        return float((self.likeness * self.obedience * self.others) ** (1 / 3))


class Examiner:
    """Draws new pictures with a chosen file and asks the classifiers."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._oracle = load_oracle(WEIGHTS / "oracle")
        self._base: Base | None = None
        self._ways: dict[tuple[Kind, int], SubjectOracle] = {}

    def score(self, subject: TestSubject, trained: Trained) -> Score:
        """Drawn once and kept beside the file."""
        kept = trained.folder / "score.json"
        if not kept.is_file():
            found = self._scored(subject, trained)
            kept.write_text(json.dumps({k: getattr(found, k) for k in ("likeness", "obedience", "others")}))
        return Score(**json.loads(kept.read_text()))

    def _scored(self, subject: TestSubject, trained: Trained) -> Score:
        drawn = self._drawn(subject, trained)
        own = [drawn[row, seed] for row, seed in drawn if row < len(NEW_PLACES)]
        others = [drawn[row, seed] for row, seed in drawn if row >= len(NEW_PLACES)]
        ways = self._ways_of(subject)
        place = [found.index for found in ways.subjects].index(subject.index)
        with torch.no_grad():
            likeness = ways.oracle(floats(_small(own)))[0].softmax(dim=1)[:, place].mean().item()
        phrases = list(BACKGROUNDS.values())
        rows = [row for row, _ in drawn]
        backgrounds = np.array([phrases.index(NEW_PLACES[row]) for row in rows if row < len(NEW_PLACES)])
        asked = np.array([asked_of(NEW_OTHERS[row - len(NEW_PLACES)]) for row in rows if row >= len(NEW_PLACES)])
        return Score(
            likeness=likeness,
            obedience=float((self._oracle.answers(_small(own))[:, 2] == backgrounds).mean()),
            others=float((self._oracle.answers(_small(others)) == asked).all(axis=1).mean()),
        )

    def _drawn(self, subject: TestSubject, trained: Trained) -> dict[tuple[int, int], Image.Image]:
        plan = trained.plan
        texts = [f"a {plan.trigger} {plan.class_word} {place}" for place in NEW_PLACES]
        prompts = [
            PreviewPrompt(text=text, seeds=tuple(NEW_SEED + 100 * subject.index + 10 * row + k for k in range(4)))
            for row, text in enumerate([*texts, *NEW_OTHERS])
        ]
        base = self._base = self._base or FAMILIES["pocket"](str(WEIGHTS), _fit(trained))
        words = {text: base.encode_texts([text]) for text in ["", *(prompt.text for prompt in prompts)]}
        base.wear(trained.file)
        try:
            return panel(base, plan, words, prompts=prompts)
        finally:
            base.wear(None)

    def _ways_of(self, subject: TestSubject) -> SubjectOracle:
        """The classifier of the subject's type: the compared ones, or as many development ones."""
        first = DEVELOPMENT if subject.index >= DEVELOPMENT else 0
        if (subject.kind, first) not in self._ways:
            subjects = tuple(test_subject(subject.kind, first + number) for number in range(WAYS))
            folder = self._out / f"classifier-{subject.kind}-{first}"
            with held(folder.with_suffix(".lock"), wait=True):
                if not (folder / "model.safetensors").is_file():
                    save_oracle(train_subject_oracle(subjects).oracle, folder)
            self._ways[subject.kind, first] = SubjectOracle(subjects=subjects, oracle=load_oracle(folder))
        return self._ways[subject.kind, first]


def _fit(trained: Trained) -> Fit:
    """As it was trained."""
    return Fit.from_json(json.loads((trained.folder / "job.json").read_text())["fit"])


def _small(pictures: Sequence[Image.Image]) -> np.ndarray:  # type: ignore[type-arg]
    return np.stack([np.asarray(p.convert("RGB").resize((64, 64), Image.Resampling.BOX)) for p in pictures])


def asked_of(text: str) -> tuple[int, int, int]:
    """Class, colour and background of a plain prompt, as the oracle numbers them."""
    _, colour, class_word, *rest = text.split()
    return CLASSES.index(class_word), tuple(COLOURS).index(colour), list(BACKGROUNDS.values()).index(" ".join(rest))
