"""One training of a drawn subject under any plan, scored on what no part of training or choice saw.

New prompts, new seeds, and independent classifiers that were trained on the generator alone; the checkpoint is our choice.
Equal compute: a step's seconds are timed once for everything that changes them and kept beside the results, so that results
of several machines are not mixed by mistake: one folder, one machine. Resumable: what lies in the folder is not done again.
"""

from __future__ import annotations

import json
import os
import re
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from storage.domain.plan import Plan, shortened
from storage.domain.recipes import checkpoint_steps
from tests.benchmarks.examiner import DEVELOPMENT, Examiner, Score
from tests.benchmarks.trainings import held, in_words, interval, plan_of, together, train
from trainer.pocket.subjects import Kind, TestSubject, test_subject

KINDS: tuple[Kind, ...] = ("object", "character", "person")
"""Types of which a classifier can tell one subject from another; a style has no subject of its own."""
MOST_BATCH = 8
Recipe = Callable[[Plan], Plan]
COSTLY = (
    "batch_size",
    "accumulation",
    "rank",
    "targets",
    "prior",
    "prior_share",
    "optimizer",
    "ema_decay",
    "lora_dropout",
    "latents",
    "resolution",
    "resolutions",
)
"""The fields of a plan that change what a step costs."""


def stepped(plan: Plan, steps: int) -> Plan:
    """The same plan with so many steps; checkpoints and warm-up keep their shares."""
    return replace(plan, steps=steps, checkpoint_steps=checkpoint_steps(steps), warmup_steps=max(1, steps // 20))


def paced(plan: Plan, ours: Plan, seconds: Callable[[Plan], float]) -> Plan:
    """A rival's plan with the largest batch that its steps can have within our seconds; cut short where none can."""
    budget = ours.steps * seconds(ours)
    for batch in range(MOST_BATCH, 0, -1):
        faster = replace(plan, batch_size=batch)
        if plan.steps * seconds(faster) <= budget:
            return faster
    slow = replace(plan, batch_size=1)
    return shortened(slow, max(1, int(budget / seconds(slow))))


def in_steps(plan: Plan, ours: Plan, seconds: Callable[[Plan], float]) -> Plan:
    """A plan with as many steps of its own batch as fit within our seconds."""
    if plan.steps * seconds(plan) == ours.steps * seconds(ours):
        return plan
    return shortened(plan, max(1, round(ours.steps * seconds(ours) / seconds(plan))))


class Clock:
    """Seconds of a step, timed once for everything that changes them on this machine and kept with the results."""

    def __init__(self, out: Path, threads: int) -> None:
        self._file, self._threads = out / "seconds.json", threads
        self._known = self._read()

    def __call__(self, plan: Plan) -> float:
        key = "/".join(str(getattr(plan, name)) for name in COSTLY) + f"/{self._threads}"
        if key not in self._known:
            with held(self._file.with_suffix(".lock"), wait=True):
                self._known = self._read()
                if key not in self._known:
                    self._known[key] = self._timed(plan)
                    self._file.write_text(json.dumps(self._known, indent=1))
        return self._known[key]

    def _read(self) -> dict[str, float]:
        return dict(json.loads(self._file.read_text())) if self._file.is_file() else {}

    def _timed(self, plan: Plan) -> float:
        """From five and from 25 steps, each the least of three: what else runs on the machine only ever adds."""
        subject = test_subject("object", DEVELOPMENT)
        bare = replace(stepped(plan, 5), checkpoint_steps=(5,), prompts=plan.prompts[:1], preview_steps=1)

        def least(steps: int) -> float:
            taken = []
            for number in range(3):
                timed = replace(bare, steps=steps, checkpoint_steps=(steps,), seed=number)
                began = time.process_time()
                train(subject, timed, self._file.parent / "timing", self._threads)
                taken.append(time.process_time() - began)
            return min(taken)

        return max((least(25) - least(5)) / 20, 1e-3)


@dataclass(frozen=True, kw_only=True)
class Job:
    """One training that a study wants scored."""

    name: str
    subject: TestSubject
    recipe: Recipe
    rate: float | None = None
    """In place of the recipe's own learning rate."""
    batch_stays: bool = False
    """Whether compute is made equal by steps alone."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """One folder of results. Several processes may work on it at once: what one is at, the others leave to it."""

    out: Path
    threads: int
    clock: Clock
    examiner: Examiner

    def scores(self, jobs: Sequence[Job]) -> list[Score]:
        """All trained and scored, or read where they are kept."""
        return together([partial(self._run, job) for job in jobs])

    def plan(self, job: Job) -> Plan:
        """What is trained: the recipe's plan within our seconds."""
        ours = plan_of(job.subject)
        plan = (in_steps if job.batch_stays else paced)(job.recipe(ours), ours, self.clock)
        return plan if job.rate is None else replace(plan, learning_rate=job.rate)

    def _run(self, job: Job, wait: bool) -> Score:  # noqa: FBT001 -- `together` calls it so
        plan = self.plan(job)
        folder = self.out / f"{in_a_path(job.name)}-{plan.learning_rate:g}" / f"{job.subject.kind}-{job.subject.index}"
        with held(folder.with_suffix(".lock"), wait=wait):
            fresh = not (folder / "score.json").is_file()
            trained = train(job.subject, plan, folder.absolute(), self.threads)
            score = self.examiner.score(job.subject, trained)
        if fresh:
            words = f"likeness {score.likeness:.2f}, obedience {score.obedience:.2f}, others {score.others:.2f}"
            subject = f"{job.subject.kind} {job.subject.index}"
            print(f"{job.name}, {subject}: step {trained.step} of {plan.steps}, {words}", flush=True)
        return score


def in_a_path(name: str) -> str:
    """Letters and digits of a name."""
    return "-".join(re.findall(r"[A-Za-z0-9.]+", name))


def options(about: str | None, out: str) -> ArgumentParser:
    """What all studies can be told."""
    parser = ArgumentParser(description=about, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path(out))
    parser.add_argument("--threads", type=int, default=int(os.environ.get("OMP_NUM_THREADS") or 1))
    return parser


def opened(options: Namespace) -> Study:
    """The study that the command line names."""
    torch.set_num_threads(options.threads)
    return Study(
        out=options.out,
        threads=options.threads,
        clock=Clock(options.out, options.threads),
        examiner=Examiner(options.out),
    )


def chosen_subjects(count: int, first: int = 0) -> list[TestSubject]:
    """`count` subjects, the types taking turns."""
    return [test_subject(KINDS[n % len(KINDS)], first + n // len(KINDS)) for n in range(count)]


def report(scores: Mapping[str, Sequence[Score]]) -> None:
    """The table, and how much ours is ahead, paired by subject."""
    print("| recipe | score | likeness | obedience | others |\n| --- | --- | --- | --- | --- |")
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
