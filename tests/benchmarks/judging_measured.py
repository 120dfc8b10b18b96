"""What the product's own judge says of a trajectory: each view's checkpoints, smaller panels of them, and the scale of some files.

Pictures are read back where the training left them; only scales are drawn anew. Kept until the judge's own code changes.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from storage.domain.choice import Candidate, choose_checkpoint
from storage.domain.measurement import Measurement, ScaleChoice
from storage.domain.plan import Plan, PreviewPrompt
from storage.domain.taste import LEAKAGE_WEIGHT, LIKENESS_WEIGHT, VARIETY_POWER, Taste
from tests.benchmarks.judging_cases import Case, View
from tests.benchmarks.judging_trajectories import Trajectory
from trainer.gpu import job, judge, preview, scale
from trainer.gpu.bench import Bench, Loaded, load
from trainer.gpu.channel import Channel
from trainer.gpu.judge.sight import Looked, References, seen

ROOT = Path(__file__).parents[2]
JUDGES = ("trainer/gpu/judge", "storage/domain/taste.py", "storage/domain/measurement.py")
SWEEPS = (
    "trainer/gpu/scale.py",
    "trainer/gpu/judge",
    "storage/domain/taste.py",
    "storage/domain/scale.py",
    "storage/domain/scale_panel.py",
)


@dataclass(frozen=True, kw_only=True)
class Budget:
    """A panel that draws less."""

    rows: int
    """Prompts with the trigger."""
    seeds: int
    others: int
    """Prompts without it."""

    @property
    def pictures(self) -> int:
        """Those without the trigger keep two seeds: leakage needs the base's distance between them."""
        return self.rows * self.seeds + 2 * self.others


BUDGETS = (
    *(Budget(rows=rows, seeds=1, others=1) for rows in (1, 2, 3, 4)),
    Budget(rows=2, seeds=2, others=1),
    Budget(rows=3, seeds=2, others=1),
    Budget(rows=4, seeds=1, others=2),
    Budget(rows=3, seeds=2, others=2),
    Budget(rows=4, seeds=2, others=2),
)
TASTES = tuple(
    Taste(likeness=more, variety=variety, leakage=leakage)
    for more in (-0.2, 0.0, 0.2)
    for variety in (0.0, VARIETY_POWER)
    for leakage in (0.0, 0.1, 0.25, LEAKAGE_WEIGHT)
)
"""What utilities are tried with; likeness is added to the subject type's own."""
T = TypeVar("T")
Cell = tuple[int, int]
"""Row and seed."""
Measured = dict[int, Measurement]
"""By step."""


class Judgement:
    """A trajectory before the product's judge."""

    def __init__(self, case: Case, trajectory: Trajectory) -> None:
        self._case, self._trajectory = case, trajectory
        self._bench: Bench | None = None

    def views(self) -> dict[str, Measured]:
        """Every view's measurements, each judged as if its order had no other checkpoints."""

        def judged() -> object:
            return {v.name: {s: json.loads(m.to_json()) for s, m in self._view(v).items()} for v in self._case.views}

        found = self._kept("views", JUDGES, judged)
        return {
            name: {int(step): Measurement.from_json(json.dumps(m)) for step, m in by_step.items()}
            for name, by_step in found.items()
        }

    def budgets(self) -> dict[str, dict[int, tuple[float, ...]]]:
        """Utilities of every checkpoint by what a smaller panel shows; keys as `rows x seeds + others`."""
        found = self._kept("budgets", JUDGES, self._budgets)
        return {name: {int(step): tuple(u) for step, u in by_step.items()} for name, by_step in found.items()}

    def tastes(self) -> dict[str, dict[int, tuple[float, ...]]]:
        """Utilities of every checkpoint by other tastes, from the plan's own panel."""
        found = self._kept("tastes", JUDGES, self._tastes)
        return {name: {int(step): tuple(u) for step, u in by_step.items()} for name, by_step in found.items()}

    def sweep(self, step: int) -> ScaleChoice:
        """The product's sweep over the scales of one file."""

        def swept() -> object:
            return json.loads(scale.sweep(self._at_the_bench(), self._trajectory.file(step)).to_json())

        return ScaleChoice.from_json(json.dumps(self._kept(f"sweep-{step}", SWEEPS, swept)))

    def _kept(self, name: str, code: Sequence[str], make: Callable[[], object]) -> dict[str, Any]:
        file, digest = self._trajectory.folder / f"judged-{name}.json", sources(tuple(code))
        if not file.is_file() or json.loads(file.read_text())["code"] != digest:
            part = file.with_suffix(".part")
            part.write_text(json.dumps({"code": digest, "found": make()}))
            part.replace(file)
        return dict(json.loads(file.read_text())["found"])

    def _view(self, view: View) -> Measured:
        bench, plan = self._at_the_bench(), self._case.planned(view)
        stick = self._stick(plan)
        earlier: dict[int, tuple[float, ...]] = {}
        found: Measured = {}
        for step in self._case.steps(view):
            bench.base.wear(self._trajectory.file(step))
            drawn = self._part(self._panel(step), plan.prompts)
            verdict = judge.measure(bench.base, stick, bench.words, drawn, step=step, earlier=earlier)
            found[step], earlier[step] = verdict.measurement, verdict.held_out
        bench.base.wear(None)
        return found

    def _budgets(self) -> dict[str, dict[int, tuple[float, ...]]]:
        bench = self._at_the_bench()
        eye, references = bench.eye, bench.stick.references
        if eye is None or references is None:
            return {}
        eyed = {step: judge.looked_at(eye, self._panel(step)) for step in self._case.trained.checkpoint_steps}
        return {
            name_of(budget): {step: self._smaller(budget, drawn, references) for step, drawn in eyed.items()}
            for budget in BUDGETS
        }

    def _tastes(self) -> dict[str, dict[int, tuple[float, ...]]]:
        plan, eye = self._case.plan, self._at_the_bench().eye
        references = self._stick(plan).references
        if eye is None or references is None:
            return {}
        panels = {step: self._part(self._panel(step), plan.prompts) for step in self._case.trained.checkpoint_steps}
        eyed = {step: judge.looked_at(eye, panel) for step, panel in panels.items()}
        return {
            named(taste): {
                step: seen(tasted(plan, taste), looked, references).utilities for step, looked in eyed.items()
            }
            for taste in TASTES
        }

    def _smaller(self, budget: Budget, drawn: Looked, references: References) -> tuple[float, ...]:
        whole = self._case.trained.prompts
        own = [prompt for prompt in whole if prompt.with_trigger][: budget.rows]
        others = [prompt for prompt in whole if not prompt.with_trigger][: budget.others]
        prompts = [*(replace(prompt, seeds=prompt.seeds[: budget.seeds]) for prompt in own), *others]
        rows = [[p.text for p in whole].index(prompt.text) for prompt in prompts]
        less = replace(references, base=self._part(references.base, prompts), plain_RD=references.plain_RD[rows])
        return seen(self._case.plan, self._part(drawn, prompts), less, prompts).utilities

    def _stick(self, plan: Plan) -> judge.Yardstick:
        """The yardstick of a plan whose panel is a part of the one that was drawn."""
        bench = self._at_the_bench()
        drawn = self._part(bench.stick.base_drawn, plan.prompts)
        references = judge.references(bench.eye, plan.prompts, bench.pictures, drawn) if bench.eye else None
        return replace(bench.stick, plan=plan, base_drawn=drawn, references=references)

    def _part(self, panel: Mapping[Cell, T], prompts: Sequence[PreviewPrompt]) -> dict[Cell, T]:
        """The cells of a smaller panel."""
        texts = [prompt.text for prompt in self._case.trained.prompts]
        return {
            (row, seed): panel[texts.index(prompt.text), seed]
            for row, prompt in enumerate(prompts)
            for seed in prompt.seeds
        }

    def _panel(self, step: int) -> preview.Panel:
        folder = self._trajectory.folder / "checkpoints" / str(step)
        cells = [(row, seed) for row, prompt in enumerate(self._case.trained.prompts) for seed in prompt.seeds]
        found = {cell: preview.opened(folder / f"preview-{cell[0]}-{cell[1]}.png") for cell in cells}
        return {cell: image for cell, image in found.items() if image is not None}

    def _at_the_bench(self) -> Bench:
        if self._bench is None:
            task = job.read(self._trajectory.folder)
            task = replace(task, plan=replace(task.plan, scales=self._case.plan.scales))
            self._bench = Bench(task, _base(task), Channel(os.open(os.devnull, os.O_WRONLY)))
        return self._bench


def name_of(budget: Budget) -> str:
    """How a budget is kept."""
    return f"{budget.rows}x{budget.seeds}+{budget.others}"


def named(taste: Taste) -> str:
    """How a taste is kept."""
    return f"likeness {taste.likeness:+g}, variety {taste.variety:g}, leakage {taste.leakage:g}"


def tasted(plan: Plan, taste: Taste) -> Plan:
    """The plan that is judged so."""
    return replace(
        plan,
        likeness_weight=min(max(LIKENESS_WEIGHT[plan.subject_type] + taste.likeness, 0.05), 0.95),
        variety_power=taste.variety,
        leakage_weight=taste.leakage,
    )


def unvoted(measured: Measured) -> int:
    """The step that members get without votes."""
    return choose_checkpoint([Candidate(step=s, votes=0, measurement=m) for s, m in measured.items()]).step


@cache
def sources(paths: tuple[str, ...]) -> str:
    """Digest of the code that makes a number."""
    files = [f for p in paths for f in (sorted((ROOT / p).glob("*.py")) if (ROOT / p).is_dir() else [ROOT / p])]
    return hashlib.sha256(b"".join(f.read_bytes() for f in files if f.is_file())).hexdigest()


_LOADED: list[Loaded] = []


def _base(task: job.Task) -> Loaded:
    """One base in memory for all trajectories."""
    if not _LOADED or not _LOADED[0].serves(task.plan.base, task.job.base, task.fit):
        _LOADED[:] = [load(task)]
    return _LOADED[0]
