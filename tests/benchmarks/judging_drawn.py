"""Records made up for tests: curves like a training's, no model behind them."""

from __future__ import annotations

import math
import random

from storage.domain.measurement import Measurement, ScaleChoice, ScalePoint
from storage.domain.scale import choose_scale
from tests.benchmarks.judging_cases import Case
from tests.benchmarks.judging_exam import OTHER_SEEDS, OWN_SEEDS, SCALES, Reading
from tests.benchmarks.judging_measured import BUDGETS, TASTES, Measured, name_of, named
from tests.benchmarks.judging_records import Record
from tests.benchmarks.judging_trajectories import Spent


def record_of(case: Case, *, told: float = 1.0) -> Record:
    """A record whose likeness rises and whose others suffer; `told` is how much of the truth the judge sees (0 none)."""
    steps, dice = case.trained.checkpoint_steps, random.Random(case.name)
    best_at = case.plan.steps * dice.uniform(0.4, 1.2)
    views: dict[str, Measured] = {
        view.name: {step: _measured(step / best_at, told, dice) for step in case.steps(view)} for view in case.views
    }
    last = max(steps)
    return Record(
        name=case.name,
        kind=case.subject.kind,
        kept_out=case.kept_out,
        pictures=case.regime.pictures,
        fault=case.fault,
        base="b" * 64,
        plan=case.plan.to_json(),
        spent={s: Spent(training=5 + 0.3 * s, drawing=5.0 * (n + 2), measuring=n + 1.0) for n, s in enumerate(steps)},
        losses=tuple((step, 1.0 - 0.4 * step / last) for step in range(10, last + 1, 10)),
        views=views,
        exam={
            step: {scale: _read(step * scale / best_at, dice) for scale in (SCALES if step in _swept(case) else (1.0,))}
            for step in steps
        },
        grids={step: _read(step / best_at, dice) for step in steps},
        budgets={
            name_of(budget): {step: (_worth(step / best_at),) * budget.rows for step in steps} for budget in BUDGETS
        },
        tastes={named(t): {step: (_worth(step / best_at) - t.leakage * step,) * 4 for step in steps} for t in TASTES},
        sweeps={step: _sweep(step / best_at) for step in _swept(case)},
    )


def _swept(case: Case) -> list[int]:
    """As where the judge sees the truth: every file that may be chosen."""
    return list(case.trained.checkpoint_steps)


def _worth(dose: float) -> float:
    """Of a dose in units of the best one."""
    return math.exp(-(math.log(dose) ** 2))


def _measured(dose: float, told: float, dice: random.Random) -> Measurement:
    utilities = tuple(told * _worth(dose) + (1 - told) * dice.random() for _ in range(4))
    return Measurement(
        validation_ratio=0.9 + 0.02 * abs(math.log(dose / 1.6)),
        training_ratio=0.9 - 0.05 * dose,
        likeness=min(1.0, 0.8 * (1 - math.exp(-1.5 * dose))),
        adherence=0.95,
        variety=0.9,
        leakage=min(1.0, 0.2 * dose),
        memorisation=0.5,
        utility=sum(utilities) / 4,
        utilities=utilities,
        flags=(),
        seconds=1.0,
        sharpness=0.9,
    )


def _read(dose: float, dice: random.Random) -> Reading:
    worth = _worth(dose)
    return Reading(
        likeness=tuple(min(1.0, max(0.0, worth + dice.gauss(0, 0.05))) for _ in range(4 * OWN_SEEDS)),
        obeyed=tuple(dice.random() < 0.6 + 0.4 * worth for _ in range(4 * OWN_SEEDS)),
        others=tuple(dice.random() < 0.6 + 0.4 * worth for _ in range(4 * OTHER_SEEDS)),
    )


def _sweep(dose: float) -> ScaleChoice:
    return choose_scale(
        [
            ScalePoint(
                scale=s,
                likeness=s,
                adherence=1.0,
                leakage=0.0,
                utility=_worth(dose * s),
                utilities=(_worth(dose * s),) * 4,
            )
            for s in SCALES
        ]
    )
