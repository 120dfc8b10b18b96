"""The orders that judging is tried on: which subject, how many pictures, what is wrong with them, and how long a training.

Types and regimes take turns, so that a few cases are already a mixture. Half of the subjects are kept out of everything that is
fitted (`examiner.COMPARED`), the other half is what is fitted on (`examiner.DEVELOPMENT`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from PIL import Image, ImageFilter

from storage.decoding import dhash
from storage.domain.budget import FULL
from storage.domain.orders import SubjectType, trigger_for
from storage.domain.panels import prompts_for
from storage.domain.plan import Plan
from storage.domain.recipes import PictureOf, plan_for
from tests.benchmarks.examiner import COMPARED, DEVELOPMENT
from trainer.pocket.subjects import Kind, TestSubject, test_subject

Fault = Literal["none", "blurred", "strangers", "twins"]
FAULTS: tuple[Fault, ...] = ("blurred", "strangers", "twins")
KINDS: tuple[Kind, ...] = ("object", "character", "person", "style")
BAD_SHARE = 4
"""One picture in so many is bad; of near twins every second one copies the one before it."""
BLUR_PX = 7
"""Of 256: what is left is colours."""
TWIN_PX = 3
PX = 256
ONLY_JUDGED: dict[str, Any] = {
    "early_stop": False,
    "scales": FULL.scales,
    "likeness_weight": None,
    "variety_power": None,
    "leakage_weight": None,
}
"""Fields of a plan that no step of a training asks for: a recipe that changes them changes no recorded training."""
LONG_SHARES = (1.0, 1.6, 2.4, 3.2, 4.0)
"""Of a plan four times as long, in the recipe's own shares of it; of one three times as long, the checkpoints up to 3.2."""
STRANGERS_FROM = 20
"""A stranger is the subject this many numbers on: one that no reader tells from others."""


@dataclass(frozen=True, kw_only=True)
class Regime:
    """What makes choosing matter, or not."""

    pictures: int
    bad: bool
    times: Literal[1, 4]
    """Length of the training in lengths of the plan that the recipe makes."""


REGIMES = (
    Regime(pictures=8, bad=False, times=4),
    Regime(pictures=4, bad=False, times=4),
    Regime(pictures=8, bad=True, times=4),
    Regime(pictures=20, bad=False, times=1),
    Regime(pictures=4, bad=True, times=1),
)


@dataclass(frozen=True, kw_only=True)
class View:
    """One order's checkpoints, read from a training that may be longer: what a plan of that length would have had."""

    name: str
    times: float
    shares: tuple[float, ...]
    """In lengths of the recipe's plan."""


VIEWS = (
    View(name="x1", times=1.0, shares=FULL.shares),
    View(name="x3", times=3.2, shares=(0.8, 1.0, 1.6, 2.4, 3.2)),
    View(name="x4", times=4.0, shares=LONG_SHARES),
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One training of the study."""

    subject: TestSubject
    regime: Regime
    fault: Fault

    @property
    def name(self) -> str:
        """Also that of its folder."""
        parts = (self.subject.kind, self.subject.index, self.regime.pictures, self.fault, f"x{self.regime.times}")
        return "-".join(map(str, parts))

    @property
    def kept_out(self) -> bool:
        """Nothing was fitted on it."""
        return self.subject.index < DEVELOPMENT

    @cached_property
    def pictures(self) -> list[Image.Image]:
        """What the member gives: the first ones bad, where the regime says so."""
        count, subject = self.regime.pictures, self.subject
        drawn = subject.pictures(count, px=PX)
        bad = range(max(1, count // BAD_SHARE))
        if self.fault == "blurred":
            return [p.filter(ImageFilter.GaussianBlur(BLUR_PX)) if n in bad else p for n, p in enumerate(drawn)]
        if self.fault == "strangers":
            stranger = test_subject(subject.kind, subject.index + STRANGERS_FROM).pictures(count, px=PX)
            return [stranger[n] if n in bad else p for n, p in enumerate(drawn)]
        if self.fault == "twins":
            return [_shifted(drawn[n - 1]) if n % 2 else p for n, p in enumerate(drawn)]
        return drawn

    @cached_property
    def plan(self) -> Plan:
        """The recipe's own, as a member with these pictures gets it."""
        subject = self.subject
        return plan_for(
            base="pocket",
            subject_type=SubjectType(subject.kind),
            class_word=subject.class_word,
            trigger=trigger_for(f"{subject.kind}-{subject.index}"),
            seed=1000 + subject.index,
            pictures=[PictureOf(id=f"p{n}", dhash=int(dhash(p), 16)) for n, p in enumerate(self.pictures)],
        )

    @property
    def trained(self) -> Plan:
        """The plan at full length, with every checkpoint of every view and the largest panel: smaller ones are parts of it.

        The rate is constant after a warm-up that stays the short plan's, so the long training's beginning is the short one.
        """
        plan, steps = self.plan, sorted({step for view in self.views for step in self.steps(view)})
        prompts = prompts_for(
            plan.subject_type, trigger=plan.trigger, class_word=plan.class_word, seed=plan.seed, pocket=True
        )
        return replace(plan, steps=steps[-1], checkpoint_steps=tuple(steps), prompts=prompts, **ONLY_JUDGED)

    @property
    def views(self) -> tuple[View, ...]:
        """The orders that this training stands for."""
        return tuple(view for view in VIEWS if view.times <= self.regime.times)

    def steps(self, view: View) -> tuple[int, ...]:
        """A view's checkpoints."""
        return tuple(max(1, round(share * self.plan.steps)) for share in view.shares)

    def planned(self, view: View) -> Plan:
        """The plan that such an order would have had; only the warm-up is the short plan's."""
        steps = self.steps(view)
        return replace(self.plan, steps=steps[-1], checkpoint_steps=steps)


def _shifted(picture: Image.Image) -> Image.Image:
    """Nearly the same picture: cut a few pixels off two sides."""
    return picture.crop((TWIN_PX, TWIN_PX, PX, PX)).resize((PX, PX), Image.Resampling.BICUBIC)


def cases(count: int) -> list[Case]:
    """The first `count`: types take turns, then kept out and development ones, then regimes; 40 hold all of them evenly."""
    made: list[Case] = []
    for number in range(count):
        kind, (turn, development) = KINDS[number % len(KINDS)], divmod(number // len(KINDS), 2)
        regime = REGIMES[(turn + number) % len(REGIMES)]
        bad_before = sum(case.regime.bad for case in made)
        made.append(
            Case(
                subject=test_subject(kind, turn + (DEVELOPMENT if development else COMPARED)),
                regime=regime,
                fault=FAULTS[bad_before % len(FAULTS)] if regime.bad else "none",
            )
        )
    return made
