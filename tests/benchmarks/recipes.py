"""Recipes against each other at equal compute: ours, and the ones that people use.

`python -m tests.benchmarks.recipes --subjects 20 --out runs/recipes` trains every recipe on every drawn subject (8 pictures
each; the types take turns) and scores it (`study`). Before that, every rival gets the best of three learning rates on
development subjects that the comparison never uses; the compared ones were not looked at while recipe and judge were made.

Equal compute: a rival takes its own number of steps, with the largest batch whose seconds stay within ours, and ends early
where even batch 1 is too slow. Resumable; start it in as many terminals as there are cores, and they share the work. The last
lines are the table and the paired differences, with 95 % bootstrap intervals over subjects.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from tests.benchmarks.examiner import COMPARED, DEVELOPMENT, Score
from tests.benchmarks.study import Job, Recipe, Study, chosen_subjects, opened, options, report, stepped
from tests.benchmarks.trainings import PICTURES, plan_of
from trainer.pocket.subjects import TestSubject

RATES = (2.5e-4, 5e-4, 1e-3)
RIVALS: Mapping[str, Recipe] = {
    "fixed 1000 steps": lambda plan: replace(stepped(plan, 1000), batch_size=1),
    "diffusers' rank 4": lambda plan: replace(plan, rank=4, targets="attention"),  # its example scripts' defaults
    "100 steps a picture": lambda plan: replace(stepped(plan, 100 * PICTURES), batch_size=1),
    "40 steps a picture": lambda plan: replace(stepped(plan, 40 * PICTURES), batch_size=1),
}


def compared(study: Study, subjects: Sequence[TestSubject], development: int) -> Iterator[tuple[str, list[Score]]]:
    """Every recipe with its scores, ours first."""
    yield "ours", study.scores([Job(name="ours", subject=subject, recipe=lambda plan: plan) for subject in subjects])
    for name, recipe in RIVALS.items():
        rate = best_rate(study, name, recipe, chosen_subjects(development, DEVELOPMENT))
        jobs = [Job(name=name, subject=subject, recipe=recipe, rate=rate) for subject in subjects]
        yield f"{name}: {told(study, jobs[0])} at {rate:g}", study.scores(jobs)


def told(study: Study, job: Job) -> str:
    """What a rival really trained: its seconds are ours, so a long one is cut short, and two that are cut may be the same."""
    plan, wanted = study.plan(job), job.recipe(plan_of(job.subject)).steps
    cut = f", cut from {wanted}" if plan.steps < wanted else ""
    return f"{plan.steps} steps of {plan.batch_size}{cut}"


def best_rate(study: Study, name: str, recipe: Recipe, subjects: Sequence[TestSubject]) -> float:
    """Of three, by the mean score on development subjects."""
    jobs = [Job(name=name, subject=subject, recipe=recipe, rate=rate) for rate in RATES for subject in subjects]
    found = study.scores(jobs)
    sums = {rate: sum(s.whole for s, j in zip(found, jobs, strict=True) if j.rate == rate) for rate in RATES}
    return max(RATES, key=sums.__getitem__)


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains what is missing, then prints the table and the paired differences."""
    parser = options(__doc__, "runs/recipes")
    parser.add_argument("--development", type=int, default=3, help="subjects that rates are chosen on")
    asked = parser.parse_args(arguments)
    report(dict(compared(opened(asked), chosen_subjects(asked.subjects, COMPARED), asked.development)))


if __name__ == "__main__":
    main()
