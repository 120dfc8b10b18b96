"""Members made up for tests: they like what a known taste says, more or less sharply, and vote."""

from __future__ import annotations

import math
import random

from storage.domain.ballots import ClosedBallot, Voted
from storage.domain.orders import SubjectType
from storage.domain.taste import Features, Taste, worth

STEPS = (40, 64, 96, 128, 160)
"""The checkpoints of the pocket's recipe for 8 pictures."""


def training(chance: random.Random) -> list[Features]:
    """The checkpoints of one order: likeness grows, the rest gives way, each by as much as it happens."""
    like, adhere, spread, leak = (
        chance.uniform(a, b) for a, b in ((0.45, 0.95), (0.5, 0.95), (0.4, 0.95), (0.05, 0.8))
    )

    def noise() -> float:
        return chance.gauss(0, 0.03)

    return [
        Features(
            likeness=like * share**0.6 + noise(),
            adherence=1 - (1 - adhere) * share + noise(),
            variety=1 - (1 - spread) * share + noise(),
            leakage=max(0.0, leak * share + noise()),
        )
        for share in (0.25, 0.4, 0.6, 0.8, 1.0)
    ]


def ballot(votes: list[int], shown: list[Features] | None = None, **other: object) -> ClosedBallot:
    """A closed ballot of a pocket order."""
    features = shown or [None] * len(votes)
    told = {
        "base": "pocket",
        "subject_type": SubjectType.OBJECT,
        "recipe": "house-1/pocket/object",
        "pictures": 8,
        "concepts": 0,
        "learning_rate": 5e-4,
        "checkpoints": tuple(
            Voted(step=step, votes=count, features=seen)
            for step, count, seen in zip(STEPS, votes, features, strict=False)
        ),
    }
    return ClosedBallot(**{**told, **other})  # type: ignore[arg-type]


def voted(chance: random.Random, taste: Taste, *, sharpness: float = 20.0, voters: int = 4) -> ClosedBallot:
    """A ballot of people with this taste (Luce's rule, by Gumbel noise on what each checkpoint is worth to them)."""
    shown, votes = training(chance), [0] * len(STEPS)
    for _ in range(voters):
        liked = [sharpness * worth(each, taste) - math.log(-math.log(chance.random())) for each in shown]
        votes[liked.index(max(liked))] += 1
    return ballot(votes, shown)
