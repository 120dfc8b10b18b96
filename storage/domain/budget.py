"""How many pictures an order draws, and how much of its time that takes: a written budget for every base.

A picture costs its base a forward for each step of the sampler, twice with guidance, and its decoding; a training step costs
`pace.STEP_OVER_FORWARD` forwards for each picture that is learned from. So a picture takes the time of so many steps, and an
order of eight pictures of a person draws:

    base             steps a picture   budget   pictures   of the time
    pocket                       1.1   full          141          50 %
    sd15                        25.3   least          61          84 %
    sdxl                        24.5   least          61          83 %
    flux1-dev                   13.4   half           89          62 %
    flux2-klein-4b              26.8   least          61          67 %
    flux2-klein-9b              26.7   least          61          67 %
    z-image                     26.8   least          61          69 %

(a test keeps the table true). Of a base's budgets the largest that keeps within its share is taken, and the least one where
none does: with less there is nothing to vote on. A plan file can say otherwise: it names its prompts, seeds, checkpoints and
scales itself. A number of steps that was asked for (`plan.shortened`) leaves them as they are: of fewer steps drawing is more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from storage.domain.pace import drawing_s, drawn_in_strip, drawn_in_sweep, learning_s
from storage.domain.plan import Plan

MOST_SHARE: Mapping[str, float] = MappingProxyType({"pocket": 0.50})
USUAL_SHARE = 0.66
"""Of an order's time, at most for drawing. The pocket's is a promise; elsewhere a picture costs as much as 13 to 27 steps, and at a
half the 250 to 500 steps of a small set would leave a dozen pictures for grids, sweep and strip together."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """One size of an order's panel and sweep."""

    name: str
    shares: tuple[float, ...]
    """Where checkpoints are taken: denser early, because small sets overfit early (of a study's 600 steps 200 were best)."""
    rows: int
    """Prompts with the trigger: two at least, adherence tells them apart; three for a paired error that means something."""
    seeds: int
    """Of each of those. Prompts without the trigger have two: leakage is told against the base's distance between seeds."""
    others: int
    """Prompts without the trigger."""
    scales: int
    """Of which two are beside the best of the others: with fewer than five in all the top is missed (EXPERIMENTS.md, "Scale")."""


FULL = Budget(name="full", shares=(0.25, 0.40, 0.60, 0.80, 1.0), rows=4, seeds=2, others=2, scales=6)
HALF = Budget(name="half", shares=(0.25, 0.40, 0.60, 0.80, 1.0), rows=4, seeds=1, others=1, scales=6)
LEAN = Budget(name="lean", shares=(0.30, 0.50, 0.75, 1.0), rows=3, seeds=1, others=1, scales=5)
LEAST = Budget(name="least", shares=(0.40, 0.70, 1.0), rows=3, seeds=1, others=1, scales=5)
BUDGETS = (FULL, HALF, LEAN, LEAST)
"""From the largest to the least. Each is a part of the one before it but for its checkpoints, so what a smaller panel would have
seen can be read from what was drawn for a larger one."""


def most_share(base: str) -> float:
    """How much of an order's time may go to drawing."""
    return MOST_SHARE.get(base, USUAL_SHARE)


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """How many pictures an order draws."""

    base: int
    """Without the LoRA, for the grids."""
    grids: int
    sweep: int
    strip: int
    """At three strengths; without the LoRA they are the grids'."""

    @property
    def whole(self) -> int:
        """All together."""
        return self.base + self.grids + self.sweep + self.strip


def drawn(plan: Plan) -> Drawn:
    """What is drawn of a plan that runs to its end, by a worker with an eye; without one the sweep draws nothing."""
    panel = sum(len(prompt.seeds) for prompt in plan.prompts)
    return Drawn(
        base=panel,
        grids=panel * len(plan.checkpoint_steps),
        sweep=drawn_in_sweep(plan),
        strip=drawn_in_strip(plan),
    )


def picture_in_steps(plan: Plan) -> float:
    """How many training steps of this plan one of its pictures takes."""
    return drawing_s(plan, 1) / (learning_s(plan, plan.steps) / plan.steps)


def drawing_share(plan: Plan) -> float:
    """Drawing's part of the time that learning and drawing take together; measuring and loading are beside it."""
    drawing = drawing_s(plan, drawn(plan).whole)
    return drawing / (drawing + learning_s(plan, plan.steps))


def within(share: float, plans: Sequence[Plan]) -> Plan:
    """The first plan whose drawing takes no more than that share, and the last where none does."""
    return next((plan for plan in plans if drawing_share(plan) <= share), plans[-1])
