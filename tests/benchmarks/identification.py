"""N-way identification: does a LoRA draw its own subject, and no other?

`python -m tests.benchmarks.identification --subjects 20 --out runs/identification` trains one LoRA for each of N unseen toys
(8 pictures each, the recipe and the choice that members get), draws the previews of the chosen checkpoint, and lets an
independent classifier, trained on the generator alone, say whose picture each one is. Resumable: what is in `--out` is kept.
Last lines: `identified` (share of triggered previews given to their own subject), `base_identified` and `others_identified`
(the base's previews, and those of the next subject's LoRA, given to this subject: chance is 1/N), each with a 95 % interval.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from storage.domain.choice import Candidate, choose_checkpoint
from storage.domain.measurement import Measurement
from storage.domain.orders import SubjectType, trigger_for
from storage.domain.plan import Fit, Plan
from storage.domain.recipes import PictureOf, plan_for
from tests.builders import make_job
from trainer.events import EVENT, Checkpointed, Failed, Train
from trainer.gpu.channel import Channel
from trainer.gpu.child import Child
from trainer.pocket import WEIGHTS
from trainer.pocket.oracle import SubjectOracle, train_subject_oracle
from trainer.pocket.subjects import TestSubject, test_subject

PICTURES = 8


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The chosen checkpoint of one subject."""

    folder: Path
    step: int
    plan: Plan
    seconds: float

    def previews(self, *, base: bool) -> list[Image.Image]:
        """Previews of prompts with the trigger, with the LoRA or without it."""
        kind = "base" if base else "preview"
        rows = [(row, prompt) for row, prompt in enumerate(self.plan.prompts) if prompt.with_trigger]
        checkpoint = self.folder / "checkpoints" / str(self.step)
        return [Image.open(checkpoint / f"{kind}-{row}-{seed}.png") for row, prompt in rows for seed in prompt.seeds]


def plan_of(subject: TestSubject) -> Plan:
    """The plan that a member with these pictures would get."""
    kinds = {"person": SubjectType.PERSON, "object": SubjectType.OBJECT, "character": SubjectType.CHARACTER}
    return plan_for(
        base="pocket",
        subject_type=kinds[subject.kind],
        class_word=subject.class_word,
        trigger=trigger_for(f"{subject.kind}-{subject.index}"),
        seed=1000 + subject.index,
        pictures=[PictureOf(id=f"p{n}", dhash=random.Random(n).getrandbits(64)) for n in range(PICTURES)],
    )


def train(subject: TestSubject, folder: Path, threads: int) -> Trained:
    """One training as the worker runs it, checkpoint after checkpoint; kept results are read back."""
    plan = plan_of(subject)
    result = folder / "chosen.json"
    if not result.is_file():
        fit = Fit(
            device="cpu",
            precision="fp32",
            micro_batch=plan.batch_size,
            gradient_checkpointing=False,
            threads=threads,
            deterministic=True,
        )
        make_job(folder, WEIGHTS, pictures=subject.pictures(PICTURES, px=256), plan=plan, fit=fit)
        began = time.monotonic()
        events = _run(folder, plan)
        candidates = [
            Candidate(step=e.step, votes=0, measurement=Measurement.from_json(e.measurement))
            for e in events
            if isinstance(e, Checkpointed)
        ]
        choice = choose_checkpoint(candidates)
        result.write_text(json.dumps({"step": choice.step, "seconds": round(time.monotonic() - began, 1)}))
    kept = json.loads(result.read_text())
    return Trained(folder=folder, step=kept["step"], plan=plan, seconds=kept["seconds"])


def _run(folder: Path, plan: Plan) -> list[object]:
    with (folder / "events.jsonl").open("wb") as file:
        child = Child(Channel(file.fileno()))
        for until in plan.checkpoint_steps:
            child.obey(Train(folder=str(folder), until=until))
    events = [EVENT.validate_json(line) for line in (folder / "events.jsonl").read_bytes().splitlines()]
    failed = [e for e in events if isinstance(e, Failed)]
    if failed:
        raise RuntimeError(f"{folder.name}: {failed[0].reason}")
    return list(events)


def share(oracle: SubjectOracle, pictures: Sequence[Image.Image], subject: TestSubject) -> float:
    """Share of the pictures that the classifier gives to this subject."""
    return sum(found.index == subject.index for found in oracle.name(pictures)) / len(pictures)


def interval(values: Sequence[float]) -> str:
    """Mean with a 95 % bootstrap interval over subjects."""
    dice = random.Random(0)
    means = sorted(math.fsum(dice.choices(values, k=len(values))) / len(values) for _ in range(2000))
    return f"{math.fsum(values) / len(values):.3f} [{means[50]:.3f}, {means[1949]:.3f}]"


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains what is missing, then prints the table and the three figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subjects", type=int, default=20)
    parser.add_argument("--kind", choices=("object", "character", "person"), default="object")
    parser.add_argument("--out", type=Path, default=Path("runs/identification"))
    parser.add_argument("--threads", type=int, default=int(os.environ.get("OMP_NUM_THREADS") or 1))
    options = parser.parse_args(arguments)
    subjects = [test_subject(options.kind, index) for index in range(options.subjects)]
    trained = []
    for subject in subjects:
        trained.append(train(subject, (options.out / f"{subject.kind}-{subject.index}").absolute(), options.threads))
        print(f"subject {subject.index}: step {trained[-1].step}, {trained[-1].seconds:.0f} s", flush=True)
    oracle = train_subject_oracle(subjects)
    own, base, others = [], [], []
    for place, (subject, here) in enumerate(zip(subjects, trained, strict=True)):
        neighbour = trained[(place + 1) % len(trained)]
        own.append(share(oracle, here.previews(base=False), subject))
        base.append(share(oracle, here.previews(base=True), subject))
        others.append(share(oracle, neighbour.previews(base=False), subject))
        print(f"subject {subject.index}: own {own[-1]:.2f}, base {base[-1]:.2f}, another's LoRA {others[-1]:.2f}")
    fresh = [share(oracle, subject.pictures(16, first_seed=900_000), subject) for subject in subjects]
    print(f"classifier on fresh renderings {interval(fresh)}; chance {1 / len(subjects):.3f}")
    print(f"identified {interval(own)}")
    print(f"base_identified {interval(base)}")
    print(f"others_identified {interval(others)}")


if __name__ == "__main__":
    main()
