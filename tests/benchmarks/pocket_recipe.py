"""Trains one drawn test subject on the pocket and prints what is measured of it; keeps the grids.

    python tests/benchmarks/pocket_recipe.py out/recipe object 3 learning_rate=2e-3 checkpoint_steps=60,120,200

Further arguments replace fields of the plan that the recipe gives. Written for EXPERIMENTS.md, "Recipe of the pocket".
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from storage.domain.measurement import Measurement, ScaleChoice
from storage.domain.orders import SubjectType
from storage.domain.plan import Plan
from storage.domain.recipes import PictureOf, plan_for
from tests.builders import CPU_FIT, make_job
from trainer.events import EVENT, Checkpointed, Failed, Finish, Finished, Train
from trainer.gpu.channel import Channel
from trainer.gpu.child import Child
from trainer.pocket import WEIGHTS
from trainer.pocket.subjects import Kind, test_subject

PICTURES = 8


def plan_with(kind: Kind, index: int, class_word: str, changes: list[str]) -> Plan:
    """The recipe's plan with `field=value` changes; tuples of steps are written with commas."""
    pictures = [PictureOf(id=f"p{n}", dhash=n) for n in range(PICTURES)]
    plan = plan_for(
        base="pocket",
        subject_type=SubjectType(kind),
        class_word=class_word,
        trigger="zorvex",
        seed=1234 + index,
        pictures=pictures,
    )
    changed: dict[str, Any] = {}
    for name, value in (change.split("=", 1) for change in changes):
        now = getattr(plan, name)
        changed[name] = tuple(map(int, value.split(","))) if isinstance(now, tuple) else type(now)(value)
    return replace(plan, **changed)


def main() -> None:
    """Runs it: about two minutes of CPU time."""
    folder, kind, index = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    subject = test_subject(kind, index)  # type: ignore[arg-type]
    plan = plan_with(subject.kind, index, subject.class_word, sys.argv[4:])
    fit = replace(CPU_FIT, micro_batch=plan.batch_size)
    make_job(folder, WEIGHTS, pictures=subject.pictures(PICTURES), plan=plan, fit=fit)
    log = folder / "told.jsonl"
    child = Child(Channel(os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)))
    for command in (
        Train(folder=str(folder), until=plan.steps),
        Finish(folder=str(folder), step=plan.steps, max_bytes=None),
    ):
        wall, cpu = time.monotonic(), time.process_time()
        child.obey(command)
        print(f"{command.command}: {time.monotonic() - wall:.0f} s, {time.process_time() - cpu:.0f} s of CPU time")
    for line in log.read_bytes().splitlines():
        event = EVENT.validate_json(line)
        if isinstance(event, Checkpointed):
            print(event.step, Measurement.from_json(event.measurement))
        if isinstance(event, Finished):
            print(ScaleChoice.from_json(event.scale))
        if isinstance(event, Failed):
            print(event)


if __name__ == "__main__":
    main()
