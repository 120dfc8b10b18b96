"""What stopping early would save and lose on made-up trainings, whose true worth is known: `python -m tests.benchmarks.stopping`.

Likeness and spill rise along curves of their own, as fast or slowly as on the pocket, and each prompt of each checkpoint is
measured with noise. It says what the rule does where its own idea of a curve is right, so it is no proof of the product: that is
`make bench-judging`. Pure; seconds.
"""

from __future__ import annotations

import argparse
import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from storage.domain import stopping
from storage.domain.choice import Candidate, measured_best
from storage.domain.measurement import Measurement
from storage.domain.orders import SubjectType
from storage.domain.pace import turn_s
from storage.domain.plan import Plan
from storage.domain.recipes import PictureOf, plan_for
from storage.domain.taste import Features, worth

RIGHT = (40, 64, 96, 128, 160)
"""Checkpoints of a plan of the right length; of a longer one they are as many times as far apart."""
PROMPTS = 4
PLAN = plan_for(
    base="pocket",
    subject_type=SubjectType.OBJECT,
    class_word="toy",
    trigger="zorvex",
    seed=7,
    pictures=[PictureOf(id=f"p{n}", dhash=n) for n in range(8)],
)


@dataclass(frozen=True, kw_only=True)
class MadeUp:
    """One training: what would be measured, and what is true."""

    plan: Plan
    measured: list[tuple[int, Measurement]]
    truth: Mapping[int, float]


def made_up(times: int, noise: float, seed: int) -> MadeUp:
    """A training of `times` the right length; `noise` is that of one prompt's likeness at one checkpoint."""
    draw = random.Random(seed)
    marks = tuple(times * step for step in RIGHT)
    plan = replace(PLAN, steps=marks[-1], checkpoint_steps=marks)
    top, slow = draw.uniform(0.6, 1.0), math.exp(draw.gauss(math.log(45), 0.5))
    spill, spill_slow = draw.uniform(0.1, 0.6) / 160, draw.uniform(150, 800)
    adherence, offsets = draw.uniform(0.85, 1.1), [draw.gauss(0, 0.1) for _ in range(PROMPTS)]
    measured: list[tuple[int, Measurement]] = []
    truth: dict[int, float] = {}
    for step in marks:
        like = -top * math.expm1(-step / slow)
        leakage = -spill * spill_slow * math.expm1(-step / spill_slow)
        seen = [max(0.0, like + offset + draw.gauss(0, noise)) for offset in offsets]
        measured.append((step, _measurement(plan, seen, adherence, leakage * math.exp(draw.gauss(0, 0.1)))))
        truth[step] = _worth(plan, like, adherence, leakage)
    return MadeUp(plan=plan, measured=measured, truth=truth)


def _worth(plan: Plan, likeness: float, adherence: float, leakage: float) -> float:
    shown = Features(likeness=likeness, adherence=adherence, variety=1.0, leakage=min(leakage, 1.0))
    return worth(shown, plan.taste)


def _measurement(plan: Plan, likenesses: Sequence[float], adherence: float, leakage: float) -> Measurement:
    utilities = tuple(_worth(plan, like, adherence, leakage) for like in likenesses)
    return Measurement(
        validation_ratio=None,
        training_ratio=None,
        likeness=sum(likenesses) / len(likenesses),
        adherence=adherence,
        variety=1.0,
        leakage=leakage,
        memorisation=None,
        utility=sum(utilities) / len(utilities),
        utilities=utilities,
        flags=(),
        seconds=0.0,
    )


def last_of(training: MadeUp) -> tuple[int, str]:
    """How many checkpoints are trained, and why no more."""
    for count in range(1, len(training.measured)):
        said = stopping.verdict(training.plan, training.measured[:count])
        if said.because is not None:
            return count, said.because.value
    return len(training.measured), "full run"


def chosen(training: MadeUp, count: int) -> float:
    """The true worth of the checkpoint that measurement would choose among the first ones."""
    best = measured_best([Candidate(step=step, votes=0, measurement=m) for step, m in training.measured[:count]])
    return training.truth[best.step] if best else 0.0


def saved(plan: Plan, count: int) -> float:
    """The share of the training's seconds, grids counted as the pocket draws them."""
    marks = plan.checkpoint_steps[:count]
    short = replace(plan, steps=marks[-1], checkpoint_steps=marks)
    return 1.0 - turn_s(short, "train") * count / (turn_s(plan, "train") * len(plan.checkpoint_steps))


def main() -> None:
    """A table: length, noise, saved, lost, why."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trainings", type=int, default=300)
    count = parser.parse_args().trainings
    print(f"{'length':>6} {'noise':>6} {'saved':>7} {'lost':>7} {'worst 5 %':>10}  why")
    for times in (1, 2, 4):
        for noise in (0.03, 0.08):
            made = [made_up(times, noise, seed) for seed in range(count)]
            ends = [last_of(training) for training in made]
            lost = sorted(
                1.0 - chosen(training, end) / chosen(training, len(RIGHT))
                for training, (end, _) in zip(made, ends, strict=True)
            )
            share = sum(saved(t.plan, end) for t, (end, _) in zip(made, ends, strict=True)) / count
            why = ", ".join(f"{name} {n}" for name, n in Counter(name for _, name in ends).most_common())
            worst = lost[-max(1, count // 20)]
            print(f"{times:>6} {noise:>6} {share:>7.1%} {sum(lost) / count:>7.2%} {worst:>10.1%}  {why}")


if __name__ == "__main__":
    main()
