"""Which scales to try, and what to read the best one from: designs compared on recorded curves, with nothing drawn.

`python -m tests.benchmarks.scale_designs` takes half a minute. `scale_curves.json` has what the judge said of one drawn toy's file
(object 44) after 160 steps, as its plan has it, and after 640, at eight scales: for each of 4 prompts at 3 seeds the utility
without its penalty for leakage, and how much each of seven prompts without the trigger leaked at 0.7 and 1.0. A trial stretches
the curves to a file trained longer or shorter, halves or doubles the leakage, and lets a design see one seed of each prompt and
a few of the others; its regret is what the mean over all prompts and seeds loses at the scale that it recommends.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from random import Random

from storage.domain import scale
from storage.domain.measurement import ScalePoint
from storage.domain.taste import LEAKAGE_WEIGHT
from tests.benchmarks.trainings import interval

RECORDED = json.loads((Path(__file__).parent / "scale_curves.json").read_text())
SCALES: tuple[float, ...] = tuple(RECORDED["scales"])
SPILLS: dict[str, tuple[float, float]] = {text: (low, high) for text, (low, high) in RECORDED["spills"].items()}
PROMPTS = 4
STRETCHES = (0.55, 0.75, 1.0, 1.3)
SPILL_TIMES = (0.5, 1.0, 2.0)
GRID = [0.1 + 0.05 * n for n in range(27)]


@dataclass(frozen=True, kw_only=True)
class Design:
    """How a scale is found."""

    name: str
    first: Sequence[float]
    more: int
    choose: Callable[[Sequence[ScalePoint]], float]
    others: int
    """Prompts without the trigger."""


def local(points: Sequence[ScalePoint]) -> float:
    """The product's own."""
    return scale.choose_scale(points).recommended


def best(points: Sequence[ScalePoint]) -> float:
    """The best measured one."""
    return max(points, key=lambda p: p.utility).scale


def parabola(points: Sequence[ScalePoint]) -> float:
    """The top of one parabola through all; the best measured one where it has none inside."""
    reach, scale.REACH = scale.REACH, 1e3  # so wide a Gaussian hears all points alike
    try:
        return scale.choose_scale(points).recommended
    finally:
        scale.REACH = reach


EVEN = (0.4, 0.6, 0.8, 1.0, 1.2)
DESIGNS = (
    *(Design(name=f"always {at}", first=(at,), more=0, choose=best, others=2) for at in (1.0, 0.8)),
    Design(name="5 even, one parabola", first=EVEN, more=0, choose=parabola, others=2),
    Design(name="5 even, local curve", first=EVEN, more=0, choose=local, others=2),
    *(
        Design(name=f"{first} + {more}", first=scale.first_scales(first), more=more, choose=local, others=2)
        for first, more in ((3, 0), (3, 1), (3, 2), (4, 1), (4, 2), (5, 2))
    ),
    Design(name="4 + 2, best measured", first=scale.first_scales(4), more=2, choose=best, others=2),
    Design(name="4 + 2, 4 others", first=scale.first_scales(4), more=2, choose=local, others=4),
    Design(name="6 even, 4 others", first=(0.3, 0.48, 0.66, 0.84, 1.02, 1.2), more=0, choose=local, others=4),
    Design(name="5 even, local curve, 4 others", first=EVEN, more=0, choose=local, others=4),
    Design(name="5 even, one parabola, 4 others", first=EVEN, more=0, choose=parabola, others=4),
)


class Trial:
    """A file whose curves are known."""

    def __init__(self, number: int) -> None:
        dice = Random(number)
        self._curves: list[list[float]] = RECORDED["curves"][("160", "640")[number % 2]]
        self._stretch, self._times = dice.choice(STRETCHES), dice.choice(SPILL_TIMES)
        self._seeds = [dice.randrange(len(self._curves) // PROMPTS) for _ in range(PROMPTS)]
        self._others = dice.sample(sorted(SPILLS), k=len(SPILLS))
        self._heights = [self._truth(at) for at in GRID]

    def regret(self, design: Design) -> float:
        """What the design's recommendation loses."""
        points = [self._point(at, design.others) for at in design.first]
        points += [self._point(at, design.others) for at in scale.next_scales(points)[: design.more]]
        return max(self._heights) - self._truth(design.choose(points))

    def _point(self, at: float, others: int) -> ScalePoint:
        seen = [PROMPTS * seed + prompt for prompt, seed in enumerate(self._seeds)]
        kept = self._kept(at, self._others[:others])
        told = [_between(self._curves[n], at / self._stretch) * kept for n in seen]
        return ScalePoint(scale=at, likeness=0, adherence=0, leakage=0, utility=math.fsum(told) / len(told))

    def _truth(self, at: float) -> float:
        heights = [_between(curve, at / self._stretch) for curve in self._curves]
        return math.fsum(heights) / len(heights) * self._kept(at, self._others)

    def _kept(self, at: float, others: Sequence[str]) -> float:
        """What leakage leaves of a utility; leakage grows with a power of the scale, read from its two points."""
        x = min(at / self._stretch, 2.0)
        spills = [self._times * high * x ** _power(low, high) for low, high in (SPILLS[text] for text in others)]
        return 1.0 - LEAKAGE_WEIGHT * min(math.fsum(spills) / len(spills), 1.0) ** 2


def _power(low: float, high: float) -> float:
    return min(max(math.log(high / low) / math.log(1.0 / 0.7), 1.0), 4.0)


def _between(curve: Sequence[float], at: float) -> float:
    """Straight lines between the recorded scales; nothing at 0."""
    known = [(0.0, 0.0), *zip(SCALES, curve, strict=True)]
    for (left, low), (right, high) in pairwise(known):
        if at <= right:
            return low + (high - low) * (at - left) / (right - left)
    return curve[-1]


def regrets(designs: Sequence[Design], trials: int) -> dict[str, list[float]]:
    """Of every design in the same trials."""
    met = [Trial(number) for number in range(trials)]
    return {design.name: [trial.regret(design) for trial in met] for design in designs}


def main(trials: int = 240) -> None:
    """Prints the table."""
    print("| design | scales | regret |\n| --- | --- | --- |")
    for design, found in zip(DESIGNS, regrets(DESIGNS, trials).values(), strict=True):
        middle, low, high = interval(found)
        print(f"| {design.name} | {len(design.first) + design.more} | {middle:.3f} [{low:.3f}, {high:.3f}] |")


if __name__ == "__main__":
    main()
