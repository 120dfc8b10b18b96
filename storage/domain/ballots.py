"""What a closed ballot says, without names and pictures: numbers of its checkpoints, votes, and the plan behind them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from storage.domain.measurement import BROKEN, Measurement
from storage.domain.orders import SubjectType
from storage.domain.taste import Features


@dataclass(frozen=True, kw_only=True)
class Voted:
    """One checkpoint and its votes."""

    step: int
    votes: int
    features: Features | None
    """None where it was not measured."""
    eye: str = ""
    """Whose likeness that is, as `Measurement.likeness_by` names it."""


@dataclass(frozen=True, kw_only=True)
class ClosedBallot:
    """One ballot. Broken checkpoints are not in it."""

    base: str
    subject_type: SubjectType
    recipe: str
    """`Plan.recipe`, with version and what it had learned."""
    pictures: int
    concepts: int
    """Of the plan; 0 where the pictures show one subject."""
    learning_rate: float
    checkpoints: tuple[Voted, ...]
    """By step."""
    next_step: int | None = None
    """The checkpoint that an early end left out; None where the training went to its end."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Members liked `better` more than `worse`."""

    better: Features
    worse: Features
    weight: float
    """How much this says; those of one ballot sum to less than 1."""


def voted(step: int, votes: int, measurement: Measurement | None) -> Voted | None:
    """A checkpoint as a ballot keeps it; None for a broken one, which nobody can choose."""
    if measurement is not None and BROKEN & set(measurement.flags):
        return None
    if measurement is None:
        return Voted(step=step, votes=votes, features=None)
    return Voted(step=step, votes=votes, features=features_of(measurement), eye=measurement.likeness_by)


def features_of(measurement: Measurement) -> Features | None:
    """What a taste judges; None where one of it was not measured."""
    m = measurement
    if m.likeness is None or m.adherence is None or m.variety is None or m.leakage is None:
        return None
    return Features(likeness=m.likeness, adherence=m.adherence, variety=m.variety, leakage=m.leakage)


def winner(ballot: ClosedBallot) -> Voted | None:
    """The checkpoint that had more votes than any other; None where nobody voted, or several lead.

    It is taken from votes alone, not from what was delivered: measurement would otherwise teach itself.
    """
    top = max((c.votes for c in ballot.checkpoints), default=0)
    first = [c for c in ballot.checkpoints if c.votes == top]
    return first[0] if top > 0 and len(first) == 1 else None


def comparisons(ballot: ClosedBallot) -> Iterator[Comparison]:
    """The winner against each other checkpoint that the same eye measured; ties and silence give none.

    A pair of a and b votes weighs (a - b) / (a + b + 2), what is left of the lead by Laplace's rule of succession: 1:0 a third,
    3:1 a third, 10:0 five sixths, 50:49 a hundredth. People who vote on one ballot look at the same pictures and at each
    other's votes, so it is shared out over the pairs: a ballot is one piece of evidence, however many voted and whatever
    number of checkpoints it had.
    """
    best = winner(ballot)
    if best is None or best.features is None:
        return
    others = [c for c in ballot.checkpoints if c.step != best.step and c.features is not None and c.eye == best.eye]
    for other in others:
        if other.features is not None:
            weight = (best.votes - other.votes) / (best.votes + other.votes + 2) / len(others)
            yield Comparison(better=best.features, worse=other.features, weight=weight)


def lead(ballot: ClosedBallot) -> float:
    """How clear a ballot is, in [0, 1): its winner against the next by the same rule; 0 without a winner."""
    best = winner(ballot)
    if best is None:
        return 0.0
    next_ = max((c.votes for c in ballot.checkpoints if c.step != best.step), default=0)
    return (best.votes - next_) / (best.votes + next_ + 2)
