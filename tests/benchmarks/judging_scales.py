"""What a recommended scale costs: the oracle's score at the best scale minus that at the recommended one. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from storage.domain.measurement import ScaleChoice
from tests.benchmarks.judging_exam import SCALES
from tests.benchmarks.judging_measured import unvoted
from tests.benchmarks.judging_records import Record
from tests.benchmarks.judging_regrets import (
    HALVES,
    WORTH_ASKING,
    Figure,
    by_subject,
    mean,
    over_subjects,
    plan_of,
    ratio,
)

CONSTANTS = SCALES
SLOPES = (0.0, 0.1, 0.2, 0.3, 0.4)
"""Of the steps-a-picture rule: scale lost with every doubling of the steps a picture."""


@dataclass(frozen=True, kw_only=True)
class File:
    """One file whose scale was measured."""

    record: Record
    step: int

    @property
    def choice(self) -> ScaleChoice:
        """The product's."""
        return self.record.sweeps[self.step]

    @property
    def long(self) -> bool:
        """Whether it was trained far past the recipe's plan."""
        return self.step > 2 * plan_of(self.record).steps

    def scores(self, seeds: Sequence[int] | None = None) -> dict[float, float]:
        """The oracle's, by scale."""
        return {scale: self.record.score(self.step, scale, seeds) for scale in sorted(self.record.exam[self.step])}

    def doublings(self) -> float:
        """Of the steps a picture, from the recipe's plan."""
        return math.log2(self.step / plan_of(self.record).steps)


Scale = Callable[[File], float]


def files(records: Iterable[Record]) -> list[File]:
    """All that were swept and examined over the scales."""
    return [File(record=r, step=s) for r in records for s in sorted(r.sweeps) if len(r.exam[s]) > 1]


def at(scores: Mapping[float, float], scale: float) -> float:
    """Between examined scales on straight lines; outside, the nearest."""
    known = sorted(scores)
    if scale <= known[0] or scale >= known[-1]:
        return scores[min(known, key=lambda k: abs(k - scale))]
    low, high = next((a, b) for a, b in pairwise(known) if a <= scale <= b)
    share = (scale - low) / (high - low)
    return scores[low] + share * (scores[high] - scores[low])


def regret(file: File, scale: float) -> float:
    """At least 0."""
    scores = file.scores()
    return max(scores.values()) - at(scores, scale)


def noise(file: File) -> float:
    """As `judging_regrets.noise`."""
    one, other = (file.scores(seeds) for seeds in HALVES)
    return math.sqrt(mean([(one[s] - other[s]) ** 2 for s in one])) / 2


def recommended(file: File) -> float:
    """Ours."""
    return file.choice.recommended


def constant(scale: float) -> Scale:
    """The same for every file."""
    return lambda _file: scale


def by_steps(top: float, slope: float) -> Scale:
    """The more steps a picture, the lower; never below a fifth."""
    return lambda file: max(0.2, top - slope * file.doublings())


def fitted_by_steps(known: Sequence[File]) -> tuple[str, Scale]:
    """The rule of that form that costs least on these."""
    tried = [(top, slope) for top in CONSTANTS for slope in SLOPES]
    top, slope = min(tried, key=lambda pair: mean([regret(f, by_steps(*pair)(f)) for f in known]))
    return f"by steps a picture: {top:g} - {slope:g} a doubling (fitted)", by_steps(top, slope)


def rivals(development: Sequence[File]) -> dict[str, Scale]:
    """Every constant, and a rule fitted on other subjects."""
    name, rule = fitted_by_steps(development)
    return {**{f"always {scale:g}": constant(scale) for scale in CONSTANTS}, name: rule}


def figure(these: Sequence[File], rule: Scale) -> Figure:
    """Mean regret."""
    return over_subjects(by_subject(these, lambda file: regret(file, rule(file))), mean)


def against(these: Sequence[File], rival: Scale) -> Figure:
    """Our regret over a rival's, where the rival's is more than twice the oracle's noise."""

    def pair(file: File) -> tuple[float, float]:
        theirs = regret(file, rival(file))
        return (regret(file, recommended(file)), theirs) if theirs > WORTH_ASKING * noise(file) else (0.0, 0.0)

    return over_subjects(by_subject(these, pair), ratio)


def lower_when_long(records: Iterable[Record]) -> list[bool]:
    """Of each subject trained four times as long: whether that file's scale is below the one of its short training's choice."""
    found = []
    for record in records:
        short, longest = unvoted(record.views["x1"]), max(record.views[record.longest])
        if record.longest != "x1" and short in record.sweeps and longest in record.sweeps:
            found.append(record.sweeps[longest].recommended < record.sweeps[short].recommended)
    return found


def truly_lower_when_long(records: Iterable[Record]) -> list[bool]:
    """The same of the oracle's best scales: whether there was anything to find."""
    found = []
    for record in records:
        known = {file.step: file for file in files([record])}
        short, longest = unvoted(record.views["x1"]), max(record.views[record.longest])
        if record.longest != "x1" and short in known and longest in known:
            tops = [max(s, key=lambda scale: s[scale]) for s in (known[longest].scores(), known[short].scores())]
            found.append(tops[0] < tops[1])
    return found
