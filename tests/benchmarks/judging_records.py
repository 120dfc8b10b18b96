"""All numbers of one subject in one JSON file: what every rule is evaluated from, in seconds and without a model.

A record names the weights and the code that made it; a study refuses to mix weights.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from storage.domain.measurement import Measurement, ScaleChoice
from tests.benchmarks.judging_cases import Case
from tests.benchmarks.judging_exam import SCALES, Desk, Reading
from tests.benchmarks.judging_measured import Judgement, Measured, unvoted
from tests.benchmarks.judging_readers import reader_of
from tests.benchmarks.judging_trajectories import Spent, trained
from tests.benchmarks.trainings import held

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Record:
    """One subject's training, judged and examined. Steps are checkpoints."""

    name: str
    kind: str
    kept_out: bool
    pictures: int
    fault: str
    base: str
    plan: str
    """The recipe's plan, as JSON."""
    spent: dict[int, Spent]
    losses: tuple[tuple[int, float], ...]
    views: dict[str, Measured]
    exam: dict[int, dict[float, Reading]]
    """By step, then scale. Every step at 1.0, some at all of `SCALES`."""
    grids: dict[int, Reading]
    """What the readers say of the pictures that members see: with this made-up members vote."""
    budgets: dict[str, dict[int, tuple[float, ...]]]
    """Utilities per prompt by name of a smaller panel, then step."""
    tastes: dict[str, dict[int, tuple[float, ...]]]
    """The same by tastes other than the recipe's."""
    sweeps: dict[int, ScaleChoice]

    @property
    def longest(self) -> str:
        """The view that goes to the training's end."""
        return max(self.views, key=lambda name: max(self.views[name]))

    def score(self, step: int, scale: float = 1.0, seeds: Sequence[int] | None = None) -> float:
        """The oracle's score of a checkpoint."""
        return self.exam[step][scale].score(seeds).whole

    def scores(self, view: str, seeds: Sequence[int] | None = None) -> dict[int, float]:
        """Of all checkpoints of a view."""
        return {step: self.score(step, seeds=seeds) for step in self.views[view]}


def recorded(case: Case, out: Path, threads: int, desk: Desk, *, wait: bool) -> Record:
    """Trains, judges and examines one subject, or reads back what of it is done; one process at a subject."""
    folder = out.absolute() / case.name
    with held(folder.with_suffix(".lock"), wait=wait):
        record = _made(case, out, threads, desk)
        (folder / "record.json").write_text(to_json(record))
    return record


def _made(case: Case, out: Path, threads: int, desk: Desk) -> Record:
    trajectory = trained(case, out, threads)
    judgement = Judgement(case, trajectory)
    views = judgement.views()
    last, chosen = case.trained.steps, unvoted(views["x1"])
    swept = sorted({chosen, last} if case.regime.times > 1 else {chosen})
    for step in case.trained.checkpoint_steps:
        desk.drawn(case.subject, case.plan, trajectory, step, SCALES if step in swept else (1.0,))
    reader = reader_of(case.subject, out.absolute())
    return Record(
        name=case.name,
        kind=case.subject.kind,
        kept_out=case.kept_out,
        pictures=case.regime.pictures,
        fault=case.fault,
        base=trajectory.base,
        plan=case.plan.to_json(),
        spent=trajectory.spent,
        losses=trajectory.losses,
        views=views,
        exam={
            step: {
                scale: desk.reading(case.subject, reader, trajectory, step, scale)
                for scale in (SCALES if step in swept else (1.0,))
            }
            for step in case.trained.checkpoint_steps
        },
        grids={
            step: desk.reading_of_grid(case.subject, case.trained, reader, trajectory, step)
            for step in case.trained.checkpoint_steps
        },
        budgets=judgement.budgets(),
        tastes=judgement.tastes(),
        sweeps={step: judgement.sweep(step) for step in swept},
    )


def to_json(record: Record) -> str:
    """As kept beside the files."""
    plain = {name: getattr(record, name) for name in ("name", "kind", "kept_out", "pictures", "fault", "base", "plan")}
    return json.dumps(
        {
            "format": FORMAT,
            **plain,
            "losses": record.losses,
            "spent": {step: asdict(spent) for step, spent in record.spent.items()},
            "views": {
                name: {step: json.loads(m.to_json()) for step, m in measured.items()}
                for name, measured in record.views.items()
            },
            "exam": {s: {scale: asdict(r) for scale, r in by.items()} for s, by in record.exam.items()},
            "grids": {step: asdict(reading) for step, reading in record.grids.items()},
            "budgets": record.budgets,
            "tastes": record.tastes,
            "sweeps": {step: json.loads(choice.to_json()) for step, choice in record.sweeps.items()},
        }
    )


def from_json(text: str) -> Record:
    """The inverse of `to_json`. Raises `ValueError` for another format."""
    told: dict[str, Any] = json.loads(text)
    if told.pop("format") != FORMAT:
        raise ValueError("a record of another format")
    return Record(
        **{name: told[name] for name in ("name", "kind", "kept_out", "pictures", "fault", "base", "plan")},
        losses=tuple((step, loss) for step, loss in told["losses"]),
        spent={int(step): Spent(**spent) for step, spent in told["spent"].items()},
        views={
            name: {int(step): Measurement.from_json(json.dumps(m)) for step, m in measured.items()}
            for name, measured in told["views"].items()
        },
        exam={
            int(step): {float(scale): _reading(reading) for scale, reading in by.items()}
            for step, by in told["exam"].items()
        },
        grids={int(step): _reading(reading) for step, reading in told["grids"].items()},
        budgets={n: {int(step): tuple(u) for step, u in by.items()} for n, by in told["budgets"].items()},
        tastes={n: {int(step): tuple(u) for step, u in by.items()} for n, by in told["tastes"].items()},
        sweeps={int(step): ScaleChoice.from_json(json.dumps(choice)) for step, choice in told["sweeps"].items()},
    )


def _reading(told: dict[str, Any]) -> Reading:
    return Reading(**{name: tuple(values) for name, values in told.items()})
