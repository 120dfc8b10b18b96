"""Which checkpoint: pure functions from votes and measurements, with their reasons.

Members' votes decide; measurements count as a few votes more, break ties and speak where nobody voted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from storage.domain.measurement import BROKEN, Flag, Measurement

PSEUDO_VOTES = 1.0
"""As how many votes all that was measured counts: m. One, to begin with: as a person who looked carefully, and not as a crowd.

Similarities agree badly with people (DreamBench++, Peng et al. 2024, arXiv 2406.16855), so nobody who came to vote should lose to
them alone: with m = 1 a single vote is enough against any measurement. The benchmark of choices fits it (EXPERIMENTS.md).
"""


class Because(StrEnum):
    """Why a checkpoint was chosen."""

    VOTES = "votes"
    VOTES_AND_MEASUREMENT = "votes_and_measurement"
    """Another one had more votes, by so few that what was measured outweighs them."""
    TIE_BROKEN_BY_MEASUREMENT = "tie_broken_by_measurement"
    MEASUREMENT = "measurement"
    LAST = "last"


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One checkpoint that could be chosen."""

    step: int
    votes: int
    measurement: Measurement | None

    @property
    def broken(self) -> bool:
        """Whether it may not win at all."""
        return self.measurement is not None and bool(BROKEN & set(self.measurement.flags))


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The chosen checkpoint and why."""

    step: int
    because: Because
    measured_best: int | None
    """What measurement alone would have chosen; None where nothing was measured."""
    votes: int
    """Votes for the chosen one."""
    runner_up_votes: int
    """Most votes that another checkpoint got."""
    pseudo_votes: float = 0.0
    """As how many votes measurement counted; 0 where nothing was measured, or nobody counted it."""
    share: float = 0.0
    """Which part of them went to the chosen one."""


class NothingToChoose(ValueError):
    """No checkpoint can be chosen: there is none, or all are broken; or no scale was measured."""


def measured_best(candidates: Sequence[Candidate]) -> Candidate | None:
    """The earliest checkpoint whose paired difference to the best is within one standard error of that difference.

    Pairs are the same prompt and seeds at two checkpoints; one that was measured on fewer, or not in numbers, cannot be
    compared and is passed over, and so is one whose likeness another eye said than the newest's: eyes have scales of their own,
    and a training may go on where there are others. Vetoed checkpoints (held-out loss rose) stand back unless all are.
    """
    allowed = _allowed(candidates)
    if not allowed:
        return None
    best = max(allowed, key=lambda c: (_mean(_utilities(c)), -c.step))
    return min((c for c in allowed if _within_one_error(best, c)), key=lambda c: c.step)


def _allowed(candidates: Sequence[Candidate]) -> list[Candidate]:
    measured = [c for c in candidates if _comparable(c) and not c.broken]
    eye = max(((c.step, _eye(c)) for c in measured), default=(0, ""))[1]
    measured = [c for c in measured if _eye(c) == eye]
    pairs = max((len(_utilities(c)) for c in measured), default=0)
    measured = [c for c in measured if len(_utilities(c)) == pairs]
    return [c for c in measured if Flag.VALIDATION_VETO not in _flags(c)] or measured


def shares(candidates: Sequence[Candidate]) -> dict[int, float]:
    """How what was measured would vote: a share for every step that was measured, summing to 1; empty where none was.

    All within one standard error of the best get the same, so that the earliest of them wins where nothing else speaks. Behind
    that a share falls as Student's t for the paired difference to the best (Student 1908, Biometrika 6, 1-25): how likely a
    difference like this is where there is none in truth. Its heavy tails know that an error from three prompts is itself
    uncertain. Vetoed checkpoints get nothing unless all are vetoed.
    """
    allowed = _allowed(candidates)
    if not allowed:
        return {}
    best = max(allowed, key=lambda c: (_mean(_utilities(c)), -c.step))
    weights = {c.step: _likely(best, c) for c in allowed}
    whole = math.fsum(weights.values())
    return {step: weight / whole for step, weight in weights.items()}


def choose_checkpoint(candidates: Sequence[Candidate], pseudo_votes: float = PSEUDO_VOTES) -> Choice:
    """The checkpoint that is delivered, and why. Raises `NothingToChoose`.

    The most votes win, where a checkpoint with n votes has n + m p: p is its part of what was measured (`shares`) and m is
    `pseudo_votes`, as if so many members had voted by the numbers (the posterior mean of a Dirichlet prior with m
    pseudo-counts). Equal sums go to the one with more people behind it, then to the earliest that measures as well as the best.

    So a lead of m votes or more is never overturned, whatever was measured; with m = 1, a lone careless vote stands too: who
    looked at the pictures is believed, and numbers are only ever asked about people who disagree evenly, or are silent. A larger
    m lets sure measurements outweigh small leads, and unsure ones still do not: where two checkpoints are within an error,
    their parts are the same.
    """
    able = sorted((c for c in candidates if not c.broken), key=lambda c: c.step)
    if not able:
        raise NothingToChoose("no checkpoint can be chosen")
    measured = shares(able)
    sums = {c.step: round(c.votes + pseudo_votes * measured.get(c.step, 0.0), 6) for c in able}
    first = [c for c in able if sums[c.step] == max(sums.values())]
    first = [c for c in first if c.votes == max(f.votes for f in first)]
    among = measured_best(first)
    chosen = among or first[-1]
    others = [c.votes for c in able if c.step != chosen.step]
    best = measured_best(able)
    return Choice(
        step=chosen.step,
        because=_because(chosen.votes, others, measured=among is not None),
        measured_best=None if best is None else best.step,
        votes=chosen.votes,
        runner_up_votes=max(others, default=0),
        pseudo_votes=pseudo_votes if measured else 0.0,
        share=round(measured.get(chosen.step, 0.0), 3),
    )


def _because(votes: int, others: Sequence[int], *, measured: bool) -> Because:
    most = max(others, default=0)
    if votes > most:
        return Because.VOTES
    if votes < most:
        return Because.VOTES_AND_MEASUREMENT
    if not measured:
        return Because.LAST
    return Because.TIE_BROKEN_BY_MEASUREMENT if votes else Because.MEASUREMENT


def _likely(best: Candidate, other: Candidate) -> float:
    """Student's t at the paired difference over its standard error, next to its value at one error; 1 within one."""
    if _within_one_error(best, other):
        return 1.0
    differences = _differences(best, other)
    error, freedom = standard_error(differences), len(differences) - 1
    if error == 0.0:
        return 0.0
    away = (_mean(differences) / error) ** 2
    return float(((1.0 + away / freedom) / (1.0 + 1.0 / freedom)) ** (-(freedom + 1) / 2))


def _differences(best: Candidate, other: Candidate) -> list[float]:
    return [a - b for a, b in zip(_utilities(best), _utilities(other), strict=True)]


def _within_one_error(best: Candidate, other: Candidate) -> bool:
    differences = _differences(best, other)
    return _mean(differences) <= standard_error(differences)


def _comparable(candidate: Candidate) -> bool:
    return bool(_utilities(candidate)) and all(map(math.isfinite, _utilities(candidate)))


def _eye(candidate: Candidate) -> str:
    return candidate.measurement.likeness_by if candidate.measurement else ""


def _flags(candidate: Candidate) -> tuple[Flag, ...]:
    return candidate.measurement.flags if candidate.measurement else ()


def _utilities(candidate: Candidate) -> tuple[float, ...]:
    return candidate.measurement.utilities if candidate.measurement else ()


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def standard_error(values: Sequence[float]) -> float:
    """Of their mean: of paired differences, 0 where there is one alone."""
    if len(values) < 2:
        return 0.0
    mean = _mean(values)
    return math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1) / len(values))
