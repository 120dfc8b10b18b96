"""What learning from votes is worth, on members made up: agreement on ballots that nobody learned from, and recipes' doses.

    python -m tests.benchmarks.learning --communities 10

Taste: half of the kinds of members have tastes that the fitted formula cannot express. Every number is the share of unseen
ballots whose winner also has the highest worth, less the same share before anything was learned; mean and standard error over
communities. Dose: how far a recipe is from what was right, in halvings, before and after. EXPERIMENTS.md, "Learning from votes".
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
from collections.abc import Callable, Sequence

from storage.domain import dose, preferences
from storage.domain.ballots import ClosedBallot, comparisons, winner
from storage.domain.lesson import Dose
from storage.domain.orders import SubjectType
from storage.domain.taste import Features, Taste, usual_taste, worth
from tests.storage.voters import STEPS, ballot, training

BALLOTS = (10, 50, 200, 500)
UNSEEN = 300
VOTERS = 4
NOISE = 0.05
USUAL = usual_taste(SubjectType.OBJECT)

Likes = Callable[[Features, random.Random], float]


def by_formula(taste: Taste) -> Likes:
    """As the formula, with noise."""
    return lambda shown, chance: worth(shown, taste) + chance.gauss(0, NOISE)


def enough(shown: Features, chance: random.Random) -> float:
    """Likeness up to a point: more is not liked better. No weights say so."""
    return -abs(shown.likeness - 0.55) + chance.gauss(0, NOISE)


def lexical(shown: Features, chance: random.Random) -> float:
    """First of all it must do as it is told; then likeness counts."""
    return (1.0 if shown.adherence > 0.75 else 0.0) + shown.likeness + chance.gauss(0, NOISE)


def beauty(shown: Features, chance: random.Random) -> float:
    """Something that nobody measures, which is a little more frequent where likeness is low."""
    return chance.gauss(0, 1.0) - 0.5 * shown.likeness


def careless(likes: Likes, share: float) -> Likes:
    """Some vote for anything."""
    return lambda shown, chance: chance.random() if chance.random() < share else likes(shown, chance)


KINDS: dict[str, Likes] = {
    "as we assume": by_formula(USUAL),
    "likeness counts less (0.3)": by_formula(Taste(likeness=0.3)),
    "likeness counts more (0.85)": by_formula(Taste(likeness=0.85)),
    "leakage counts most": by_formula(Taste(likeness=0.6, variety=0.1, leakage=0.95)),
    "four in ten careless (0.3)": careless(by_formula(Taste(likeness=0.3)), 0.4),
    "enough is enough *": enough,
    "obedience first *": lexical,
    "something unmeasured *": beauty,
}
"""* cannot be expressed by what is fitted."""


def voted(likes: Likes, chance: random.Random) -> ClosedBallot:
    """Each of a few people votes for what they like best."""
    shown, votes = training(chance), [0] * len(STEPS)
    for _ in range(VOTERS):
        liked = [likes(each, chance) for each in shown]
        votes[liked.index(max(liked))] += 1
    return ballot(votes, shown)


def learned(ballots: Sequence[ClosedBallot]) -> Taste:
    """As the product learns."""
    said = [pairs for each in ballots if (pairs := [*comparisons(each)])]
    return preferences.fitted(USUAL, [pair for pairs in said for pair in pairs], len(said)).taste


def agreement(taste: Taste, ballots: Sequence[ClosedBallot]) -> float:
    """The share of ballots with a winner whose winner is worth most."""
    said = [(each, best) for each in ballots if (best := winner(each)) is not None]
    right = sum(
        best.features == max((c.features for c in each.checkpoints if c.features), key=lambda f: worth(f, taste))
        for each, best in said
    )
    return right / len(said)


def tastes(communities: int) -> None:
    """The table of tastes."""
    print(f"{'members':<30}{'before':>8}" + "".join(f"{f'{n} ballots':>16}" for n in BALLOTS))
    for name, likes in KINDS.items():
        before, gains = [], {n: [] for n in BALLOTS}  # type: tuple[list[float], dict[int, list[float]]]
        for seed in range(communities):
            chance = random.Random(f"{name} {seed}")
            every = [voted(likes, chance) for _ in range(BALLOTS[-1])]
            unseen = [voted(likes, chance) for _ in range(UNSEEN)]
            before.append(agreement(USUAL, unseen))
            for n in BALLOTS:
                gains[n].append(agreement(learned(every[:n]), unseen) - before[-1])
        cells = "".join(f"{_mean_and_error(gains[n]):>16}" for n in BALLOTS)
        print(f"{name:<30}{statistics.mean(before):>8.3f}{cells}")


def doses(communities: int) -> None:
    """The table of doses: right ones spread by a third around the community's, plans as they become every 10 orders."""
    print(f"\n{'right dose / recipe':<30}{'before':>8}" + "".join(f"{f'{n} orders':>16}" for n in BALLOTS))
    for right in (0.25, 0.5, dose.AIM, 1.2, 1.6):
        off: dict[int, list[float]] = {n: [] for n in BALLOTS}
        for seed in range(communities):
            chance, made, every = random.Random(f"{right} {seed}"), Dose(), []
            for order in range(1, BALLOTS[-1] + 1):
                every.append(_chosen(right * math.exp(chance.gauss(0, 0.33)), made, chance))
                if order % 10 == 0:
                    said = [found for each in every if (found := dose.chosen(each)) is not None]
                    made = dose.fitted(said)
                if order in off:
                    off[order].append(abs(math.log2(made.steps * made.learning_rate * dose.AIM / right)))
        before = abs(math.log2(dose.AIM / right))
        print(f"{right:<30.2f}{before:>8.2f}" + "".join(f"{_mean_and_error(off[n], sign=''):>16}" for n in BALLOTS))


def _chosen(right: float, made: Dose, chance: random.Random) -> ClosedBallot:
    """Three of four take the checkpoint nearest to what is right for this order; one takes any."""
    steps = [round(step * made.steps) for step in STEPS]
    away = [abs(math.log(step * made.learning_rate / STEPS[-1] / right)) for step in steps]
    votes = [3 * (each == min(away)) for each in away]
    votes[chance.randrange(len(votes))] += 1
    plain = ballot(votes, learning_rate=5e-4 * made.learning_rate)
    return ballot(
        votes,
        learning_rate=plain.learning_rate,
        checkpoints=tuple(
            type(c)(step=s, votes=c.votes, features=None) for s, c in zip(steps, plain.checkpoints, strict=True)
        ),
    )


def _mean_and_error(values: Sequence[float], sign: str = "+") -> str:
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):{sign}.3f} ± {error:.3f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Learning from made-up members.")
    parser.add_argument("--communities", type=int, default=10)
    given = parser.parse_args()
    tastes(given.communities)
    doses(given.communities)
