"""All that votes have taught: a taste for each subject type, a dose for each base and subject type. A pure function of ballots."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from storage.domain import dose, preferences
from storage.domain.ballots import ClosedBallot, comparisons
from storage.domain.lesson import Dose, Lesson
from storage.domain.orders import SubjectType
from storage.domain.taste import Taste, usual_taste


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What differs from the values that the program comes with."""

    tastes: dict[SubjectType, Taste] = field(default_factory=dict)
    doses: dict[tuple[str, SubjectType], Dose] = field(default_factory=dict)

    def lesson(self, number: int, base: str, subject_type: SubjectType) -> Lesson | None:
        """For one kind of order; None where nothing was learned for it."""
        taste, factors = self.tastes.get(subject_type), self.doses.get((base, subject_type))
        if taste is None and factors is None:
            return None
        return Lesson(number=number, dose=factors or Dose(), taste=taste)

    def to_json(self) -> str:
        """As kept in a revision's row: equal values are equal texts."""
        tastes = {kind.value: asdict(taste) for kind, taste in self.tastes.items()}
        doses = {f"{base}/{kind.value}": asdict(each) for (base, kind), each in self.doses.items()}
        return json.dumps({"tastes": tastes, "doses": doses}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Learned:
        """The inverse of `to_json`."""
        data: dict[str, Any] = json.loads(text)
        doses = {tuple(key.rsplit("/", 1)): each for key, each in data["doses"].items()}
        return cls(
            tastes={SubjectType(kind): Taste(**taste) for kind, taste in data["tastes"].items()},
            doses={(base, SubjectType(kind)): Dose(**each) for (base, kind), each in doses.items()},
        )


def learned_from(ballots: Sequence[ClosedBallot]) -> Learned:
    """What these ballots teach: the same for the same ballots, in whatever order."""
    tastes = {kind: _taste(kind, ballots) for kind in SubjectType}
    kinds = sorted({(b.base, b.subject_type) for b in ballots})
    doses = {kind: dose.fitted(_chosen(kind, ballots)) for kind in kinds}
    return Learned(
        tastes={kind: taste for kind, taste in tastes.items() if taste != usual_taste(kind)},
        doses={kind: each for kind, each in doses.items() if each != Dose()},
    )


def _taste(kind: SubjectType, ballots: Sequence[ClosedBallot]) -> Taste:
    said = [pairs for b in ballots if b.subject_type is kind and (pairs := [*comparisons(b)])]
    every = [pair for pairs in said for pair in pairs]
    return preferences.fitted(usual_taste(kind), every, len(said)).taste


def _chosen(kind: tuple[str, SubjectType], ballots: Sequence[ClosedBallot]) -> list[dose.Chosen]:
    return [found for b in ballots if (b.base, b.subject_type) == kind and (found := dose.chosen(b)) is not None]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """From how much each was learned: ballots that had something to say."""

    tastes: Counter[SubjectType]
    doses: Counter[tuple[str, SubjectType]]


def evidence(ballots: Sequence[ClosedBallot]) -> Evidence:
    """Counts of what `learned_from` looks at."""
    return Evidence(
        tastes=Counter(b.subject_type for b in ballots if any(comparisons(b))),
        doses=Counter((b.base, b.subject_type) for b in ballots if dose.chosen(b) is not None),
    )
