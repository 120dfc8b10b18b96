"""N-way identification: does a LoRA draw its own subject, and no other?

`python -m tests.benchmarks.identification --subjects 20 --out runs/identification` trains one LoRA for each of N unseen toys
(8 pictures each, the recipe and the choice that members get), draws the previews of the chosen checkpoint, and lets an
independent classifier, trained on the generator alone, say whose picture each one is. Resumable; several terminals share the
work.
Last lines: `identified` (share of triggered previews given to their own subject), `base_identified` and `others_identified`
(the base's previews, and those of the next subject's LoRA, given to this subject: chance is 1/N), each with a 95 % interval.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PIL import Image

from tests.benchmarks.trainings import Trained, held, in_words, plan_of, together, train
from trainer.pocket.oracle import SubjectOracle, train_subject_oracle
from trainer.pocket.subjects import TestSubject, test_subject


def share(oracle: SubjectOracle, pictures: Sequence[Image.Image], subject: TestSubject) -> float:
    """Share of the pictures that the classifier gives to this subject."""
    return sum(found.index == subject.index for found in oracle.name(pictures)) / len(pictures)


def _trained(subject: TestSubject, out: Path, threads: int, wait: bool) -> Trained:  # noqa: FBT001 -- `together` calls it so
    folder = (out / f"{subject.kind}-{subject.index}").absolute()
    with held(folder.with_suffix(".lock"), wait=wait):
        found = train(subject, plan_of(subject), folder, threads)
    if not wait:
        print(f"subject {subject.index}: step {found.step}, {found.seconds:.0f} s", flush=True)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains what is missing, then prints the table and the three figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subjects", type=int, default=20)
    parser.add_argument("--kind", choices=("object", "character", "person"), default="object")
    parser.add_argument("--out", type=Path, default=Path("runs/identification"))
    parser.add_argument("--threads", type=int, default=int(os.environ.get("OMP_NUM_THREADS") or 1))
    options = parser.parse_args(arguments)
    subjects = [test_subject(options.kind, index) for index in range(options.subjects)]
    trained = together([partial(_trained, subject, options.out, options.threads) for subject in subjects])
    oracle = train_subject_oracle(subjects)
    own, base, others = [], [], []
    for place, (subject, here) in enumerate(zip(subjects, trained, strict=True)):
        neighbour = trained[(place + 1) % len(trained)]
        own.append(share(oracle, here.previews(base=False), subject))
        base.append(share(oracle, here.previews(base=True), subject))
        others.append(share(oracle, neighbour.previews(base=False), subject))
        print(f"subject {subject.index}: own {own[-1]:.2f}, base {base[-1]:.2f}, another's LoRA {others[-1]:.2f}")
    fresh = [share(oracle, subject.pictures(16, first_seed=900_000), subject) for subject in subjects]
    print(f"classifier on fresh renderings {in_words(fresh)}; chance {1 / len(subjects):.3f}")
    print(f"identified {in_words(own)}")
    print(f"base_identified {in_words(base)}")
    print(f"others_identified {in_words(others)}")


if __name__ == "__main__":
    main()
