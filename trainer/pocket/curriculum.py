"""What the denoiser sees when: centred scenes first, wider ones mixed in gradually.

Averaged over poses a class is a blob, and then the high-noise steps have nothing to learn from the class word; with
poses centred at first the classes appear an order of magnitude sooner (EXPERIMENTS.md, "Pocket base").
"""

from dataclasses import dataclass

from trainer.pocket.scenes import PAIRS

CENTRED_UNTIL = 0.22  # share of the run with centred scenes only
WIDE_FROM = 0.5  # from here on the mixture stays as it is
LAST_MIXTURE = (0.12, 0.08, 0.1, 0.36, 0.34)  # shares of the spreads below at the end


@dataclass(frozen=True, kw_only=True)
class Series:
    """One pool of scenes: the seed, spread, count and share of pairs that `pools.scene_pool` takes."""

    seed: int
    spread: float
    count: int
    pairs: float = PAIRS


SERIES = (
    Series(seed=1, spread=0.0, count=24_000),
    Series(seed=4, spread=0.25, count=16_000),
    Series(seed=3, spread=0.5, count=16_000),
    Series(seed=5, spread=1.0, count=60_000),
    Series(seed=6, spread=1.0, count=40_000, pairs=1.0),
)
WITHOUT_PAIRS = tuple(one for one in SERIES if one.pairs == PAIRS)
"""What the judge learns from: its pictures have one thing."""


def mixture(progress: float) -> tuple[float, ...]:
    """Shares of the series at a progress of 0..1; each wider series joins after the one before it."""
    opened = (progress - CENTRED_UNTIL) / (WIDE_FROM - CENTRED_UNTIL) * (len(SERIES) - 1)
    joined = [1.0, *(min(1.0, max(0.0, opened - place)) for place in range(len(SERIES) - 1))]
    shares = [share * join for share, join in zip(LAST_MIXTURE, joined, strict=True)]
    return tuple(share / sum(shares) for share in shares)


def rate_share(progress: float, step: int) -> float:
    """Share of the full learning rate: 100 steps of warm-up, flat, then linear to nothing over the last half."""
    return min(1.0, (step + 1) / 100) * min(1.0, max(0.0, 2 * (1 - progress)) + 0.01)
