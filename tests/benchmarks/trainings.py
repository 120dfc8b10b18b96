"""Trainings of drawn test subjects, as the worker runs them: shared by the benchmarks that compare them.

Resumable: a subject's training is kept in its folder and read back, unless its plan or the base changed since. Several processes
may share the work.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

from PIL import Image

from storage.domain.choice import Candidate, choose_checkpoint
from storage.domain.measurement import Measurement
from storage.domain.orders import SubjectType, trigger_for
from storage.domain.plan import Fit, Plan
from storage.domain.recipes import PictureOf, plan_for
from storage.system import Locked, lock
from tests.builders import make_job
from trainer.events import EVENT, Checkpointed, Failed, Progressed, Train
from trainer.gpu.channel import Channel
from trainer.gpu.child import Child
from trainer.pocket import WEIGHTS
from trainer.pocket.subjects import TestSubject

PICTURES = 8
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The chosen checkpoint of one subject."""

    folder: Path
    step: int
    plan: Plan
    seconds: float
    """Wall time of the whole training, with previews and measuring."""

    @property
    def file(self) -> Path:
        """The chosen LoRA."""
        return self.folder / "checkpoints" / str(self.step) / "lora.safetensors"

    def previews(self, *, base: bool) -> list[Image.Image]:
        """Previews of prompts with the trigger, with the LoRA or without it."""
        kind = "base" if base else "preview"
        rows = [(row, prompt) for row, prompt in enumerate(self.plan.prompts) if prompt.with_trigger]
        checkpoint = self.folder / "checkpoints" / str(self.step)
        return [Image.open(checkpoint / f"{kind}-{row}-{seed}.png") for row, prompt in rows for seed in prompt.seeds]


def plan_of(subject: TestSubject) -> Plan:
    """The plan that a member with these pictures would get."""
    return plan_for(
        base="pocket",
        subject_type=SubjectType(subject.kind),
        class_word=subject.class_word,
        trigger=trigger_for(f"{subject.kind}-{subject.index}"),
        seed=1000 + subject.index,
        pictures=[PictureOf(id=f"p{n}", dhash=random.Random(n).getrandbits(64)) for n in range(PICTURES)],
    )


def train(subject: TestSubject, plan: Plan, folder: Path, threads: int) -> Trained:
    """One training, checkpoint after checkpoint, and the choice that members get without votes."""
    result, digest = folder / "chosen.json", hashlib.sha256(f"{plan.to_json()} {base_digest()}".encode()).hexdigest()
    kept = json.loads(result.read_text()) if result.is_file() else {}
    if kept.get("sha256") != digest:
        shutil.rmtree(folder, ignore_errors=True)
        began = time.monotonic()
        choice = choose_checkpoint(_checkpoints(subject, plan, folder, threads))
        kept = {"sha256": digest, "step": choice.step, "seconds": round(time.monotonic() - began, 1)}
        result.write_text(json.dumps(kept))
    return Trained(folder=folder, step=kept["step"], plan=plan, seconds=kept["seconds"])


@cache
def base_digest() -> str:
    """Of the weights that learn."""
    return hashlib.sha256((WEIGHTS / "unet" / "diffusion_pytorch_model.safetensors").read_bytes()).hexdigest()


def together(jobs: Sequence[Callable[[bool], T]]) -> list[T]:
    """Do them all. A job is told whether to wait; what another process is at is left to it, and waited for in the end."""
    for job in jobs:
        with suppress(Locked):
            job(False)
    return [job(True) for job in jobs]


@contextmanager
def held(file: Path, *, wait: bool) -> Iterator[None]:
    """One process at a time. Raises `Locked` where another is at it and nobody waits."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as handle:
        lock(handle, wait=wait)
        yield


def _checkpoints(subject: TestSubject, plan: Plan, folder: Path, threads: int) -> list[Candidate]:
    fit = Fit(
        device="cpu",
        precision="fp32",
        micro_batch=plan.batch_size,
        gradient_checkpointing=False,
        threads=threads,
        deterministic=True,
    )
    make_job(folder, WEIGHTS, pictures=subject.pictures(PICTURES, px=256), plan=plan, fit=fit)
    return [
        Candidate(step=event.step, votes=0, measurement=Measurement.from_json(event.measurement))
        for event in _run(folder, plan)
        if isinstance(event, Checkpointed)
    ]


def _run(folder: Path, plan: Plan) -> list[object]:
    with (folder / "events.jsonl").open("wb") as file:
        child = Child(Channel(file.fileno()))
        for until in plan.checkpoint_steps:
            child.obey(Train(folder=str(folder), until=until))
    events = [EVENT.validate_json(line) for line in (folder / "events.jsonl").read_bytes().splitlines()]
    failed = [e for e in events if isinstance(e, Failed)]
    if failed:
        raise RuntimeError(f"{folder.name}: {failed[0].reason}")
    return [e for e in events if not isinstance(e, Progressed)]


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean with a 95 % bootstrap interval over subjects (2000 draws, fixed seed)."""
    dice = random.Random(0)
    means = sorted(math.fsum(dice.choices(values, k=len(values))) / len(values) for _ in range(2000))
    return math.fsum(values) / len(values), means[50], means[1949]


def in_words(values: Sequence[float]) -> str:
    """`interval` as text."""
    return "{:.3f} [{:.3f}, {:.3f}]".format(*interval(values))
