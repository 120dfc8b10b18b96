"""Recipes against each other at equal compute: ours, and the ones that people use.

`python -m tests.benchmarks.recipes --subjects 20 --out runs/recipes` trains every recipe on every drawn subject (8 pictures
each; the types take turns), with our choice of checkpoint for all, and scores the chosen file on what no part of training or
choice saw: new prompts, new seeds, and independent classifiers that were trained on the generator alone. Before that, every
rival gets the best of three learning rates on development subjects that the comparison never uses.

Equal compute: a step's seconds are timed once per batch and rank; a rival takes its own number of steps, with the largest batch
whose seconds stay within ours, and ends early where even batch 1 is too slow. Resumable; `--shard 2/4` trains only its part
(the tables then come from a last call without it). The last lines are the table and the paired differences, with
95 % bootstrap intervals over subjects.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from storage.domain.plan import Fit, Plan, PreviewPrompt, shortened
from storage.domain.recipes import checkpoint_steps
from tests.benchmarks.trainings import PICTURES, Trained, in_words, interval, plan_of, train
from trainer.gpu.families import FAMILIES, Base
from trainer.gpu.preview import panel
from trainer.pocket import WEIGHTS
from trainer.pocket.clip import floats
from trainer.pocket.oracle import SubjectOracle, load_oracle, save_oracle, train_subject_oracle
from trainer.pocket.subjects import Kind, TestSubject, test_subject
from trainer.pocket.vocabulary import BACKGROUNDS, CLASSES, COLOURS

KINDS: tuple[Kind, ...] = ("object", "character", "person")
"""Types of which a classifier can tell one subject from another; a style has no subject of its own."""
WAYS = 20
"""The classifier of a type knows this many subjects: the compared ones come first."""
DEVELOPMENT = 40
"""Development subjects start here: never compared, and unknown to the classifiers of the comparison."""
RATES = (2.5e-4, 5e-4, 1e-3)
MOST_BATCH = 8
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


Recipe = Callable[[Plan], Plan]


def _steps(plan: Plan, steps: int) -> Plan:
    return replace(plan, steps=steps, checkpoint_steps=checkpoint_steps(steps), warmup_steps=max(1, steps // 20))


RIVALS: Mapping[str, Recipe] = {
    "fixed 1000 steps": lambda plan: replace(_steps(plan, 1000), batch_size=1),
    "diffusers' rank 4": lambda plan: replace(plan, rank=4, targets="attention"),  # its example scripts' defaults
    "100 steps a picture": lambda plan: replace(_steps(plan, 100 * PICTURES), batch_size=1),
    "40 steps a picture": lambda plan: replace(_steps(plan, 40 * PICTURES), batch_size=1),
}


def paced(plan: Plan, ours: Plan, seconds: Callable[[Plan], float]) -> Plan:
    """A rival's plan with the largest batch that its steps can have within our seconds; cut short where none can."""
    budget = ours.steps * seconds(ours)
    for batch in range(MOST_BATCH, 0, -1):
        faster = replace(plan, batch_size=batch)
        if plan.steps * seconds(faster) <= budget:
            return faster
    slow = replace(plan, batch_size=1)
    return shortened(slow, max(1, int(budget / seconds(slow))))


class Clock:
    """Seconds of a step, timed once per batch, rank and targets on this machine and kept with the results."""

    def __init__(self, out: Path, threads: int) -> None:
        self._file, self._threads = out / "seconds.json", threads
        self._known: dict[str, float] = json.loads(self._file.read_text()) if self._file.is_file() else {}

    def __call__(self, plan: Plan) -> float:
        key = f"{plan.batch_size}/{plan.rank}/{plan.targets}/{self._threads}"
        if key not in self._known:
            self._known[key] = self._timed(plan)
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.write_text(json.dumps(self._known, indent=1))
        return self._known[key]

    def _timed(self, plan: Plan) -> float:
        """From five and from 25 steps, each the least of three: what else runs on the machine only ever adds."""
        subject = test_subject("object", DEVELOPMENT)
        bare = replace(_steps(plan, 5), checkpoint_steps=(5,), prompts=plan.prompts[:1], preview_steps=1)

        def least(steps: int) -> float:
            taken = []
            for number in range(3):
                timed = replace(bare, steps=steps, checkpoint_steps=(steps,), seed=number)
                began = time.process_time()
                train(subject, timed, self._file.parent / "timing", self._threads)
                taken.append(time.process_time() - began)
            return min(taken)

        return max((least(25) - least(5)) / 20, 1e-3)


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
        asked = np.array([_answers(NEW_OTHERS[row - len(NEW_PLACES)]) for row in rows if row >= len(NEW_PLACES)])
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
            if not (folder / "model.safetensors").is_file():
                save_oracle(train_subject_oracle(subjects).oracle, folder)
            self._ways[subject.kind, first] = SubjectOracle(subjects=subjects, oracle=load_oracle(folder))
        return self._ways[subject.kind, first]


def _fit(trained: Trained) -> Fit:
    """As it was trained."""
    return Fit.from_json(json.loads((trained.folder / "job.json").read_text())["fit"])


def _small(pictures: Sequence[Image.Image]) -> np.ndarray:  # type: ignore[type-arg]
    return np.stack([np.asarray(p.convert("RGB").resize((64, 64), Image.Resampling.BOX)) for p in pictures])


def _answers(text: str) -> tuple[int, int, int]:
    """Class, colour and background of a plain prompt, as the oracle numbers them."""
    _, colour, class_word, *rest = text.split()
    return CLASSES.index(class_word), tuple(COLOURS).index(colour), list(BACKGROUNDS.values()).index(" ".join(rest))


@dataclass(frozen=True, kw_only=True)
class Study:
    """One call of the benchmark."""

    out: Path
    threads: int
    clock: Clock
    examiner: Examiner

    def run(self, name: str, subject: TestSubject, recipe: Recipe, rate: float | None) -> Score:
        """Train and score, or read what is kept."""
        ours = plan_of(subject)
        plan = ours if name == "ours" else paced(recipe(ours), ours, self.clock)
        plan = plan if rate is None else replace(plan, learning_rate=rate)
        folder = self.out / f"{name.replace(' ', '-')}-{plan.learning_rate:g}" / f"{subject.kind}-{subject.index}"
        trained = train(subject, plan, folder.absolute(), self.threads)
        score = self.examiner.score(subject, trained)
        words = f"likeness {score.likeness:.2f}, obedience {score.obedience:.2f}, others {score.others:.2f}"
        print(f"{name}, {subject.kind} {subject.index}: step {trained.step} of {plan.steps}, {words}", flush=True)
        return score

    def best_rate(self, name: str, recipe: Recipe, subjects: Sequence[TestSubject]) -> float:
        """Of three, by the mean score on development subjects."""

        def mean(rate: float) -> float:
            return sum(self.run(name, subject, recipe, rate).whole for subject in subjects) / len(subjects)

        return max(RATES, key=mean)


def chosen_subjects(count: int, first: int = 0) -> list[TestSubject]:
    """`count` subjects, the types taking turns."""
    return [test_subject(KINDS[n % len(KINDS)], first + n // len(KINDS)) for n in range(count)]


def compared(study: Study, subjects: Sequence[TestSubject], development: int) -> Iterator[tuple[str, list[Score]]]:
    """Every recipe with its scores, ours first."""
    yield "ours", [study.run("ours", subject, lambda plan: plan, None) for subject in subjects]
    for name, recipe in RIVALS.items():
        rate = study.best_rate(name, recipe, chosen_subjects(development, DEVELOPMENT))
        yield f"{name} ({rate:g})", [study.run(name, subject, recipe, rate) for subject in subjects]


def report(scores: Mapping[str, Sequence[Score]]) -> None:
    """The table, and how much ours is ahead, paired by subject."""
    print("| recipe (learning rate) | score | likeness | obedience | others |\n| --- | --- | --- | --- | --- |")
    for name, found in scores.items():
        cells = [in_words([score.whole for score in found])]
        cells += [
            f"{interval([getattr(s, part) for s in found])[0]:.3f}" for part in ("likeness", "obedience", "others")
        ]
        print(f"| {name} | {' | '.join(cells)} |")
    ours, *rivals = scores
    for name in rivals:
        ahead = [a.whole - b.whole for a, b in zip(scores[ours], scores[name], strict=True)]
        print(f"ours minus {name}: {in_words(ahead)}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains what is missing, then prints the table and the paired differences."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, default=20)
    parser.add_argument("--development", type=int, default=3, help="subjects that rates are chosen on")
    parser.add_argument("--shard", default="1/1", help="train only part N of M of the subjects, without a table")
    parser.add_argument("--out", type=Path, default=Path("runs/recipes"))
    parser.add_argument("--threads", type=int, default=int(os.environ.get("OMP_NUM_THREADS") or 1))
    options = parser.parse_args(arguments)
    part, parts = map(int, options.shard.split("/"))
    torch.set_num_threads(options.threads)
    study = Study(
        out=options.out,
        threads=options.threads,
        clock=Clock(options.out, options.threads),
        examiner=Examiner(options.out),
    )
    scores = dict(compared(study, chosen_subjects(options.subjects)[part - 1 :: parts], options.development))
    if parts == 1:
        report(scores)


if __name__ == "__main__":
    main()
