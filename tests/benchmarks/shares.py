"""How fair a day was, from the list of its turns: against the bounds of start-time fair queueing, derived here.

**One worker.** Goyal, Vin and Cheng, "Start-time Fair Queueing" (SIGCOMM 1996), theorem 1: while two flows both wait, what they
are served over their weights, `A_i/w_i` and `A_j/w_j`, grows by no more than `l/w_i + l/w_j` apart; `l` is the longest turn.

**Several workers, charged in advance.** Call `S_i` a community's tag with the estimates of its running turns replaced by what
those turns will really take: while it has something waiting, `S_i` moves exactly as `A_i/w_i` does. Let K workers run, let no
estimate be off by more than `d`, and `r_i = 1/w_i`.

1. Whoever is picked has the smallest tag: `T_i <= T_j`. Its own turn is charged what it takes; every other one of the at most
   K - 1 running turns of the two shifts a tag by at most d. So right after a pick of i:
   `S_i - S_j <= l r_i + (K-1) d (r_i + r_j)`. Only picks of i make the difference grow.
2. Two communities begin to wait together with tags near the queue's clock V, the largest tag that was picked: below it by no more
   than one turn (`storage.pieces.wait_again`; one that was idle begins at V itself), above it by no more than the turn that was
   picked last and K corrections.
3. Growth over any stretch in which both wait is the value at its end (1) less that at its beginning (1 or 2):
   `B_ij = (2 l + 2 K d) (1/w_i + 1/w_j)`. With K = 1 and true estimates Goyal's `l (1/w_i + 1/w_j)` is inside.

**Against one's share.** Summed over all communities j with their weights, `A_i` falls behind `w_i / sum(w)` of everything that was
served, over any stretch in which i waits, by no more than `sum_j w_j B_ij w_i / sum(w) = (2 l + 2 K d) (1 + N w_i / sum(w))`
GPU seconds: that many seconds, over what the share brings in a second, is how much longer it waits than its share alone makes it.
(Communities that wait only part of the time count too: waking never moves a tag down.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.crowds import Pick

Numbers = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What a day gives to the formulas above."""

    longest_s: float
    """l: the longest turn."""
    off_s: float
    """d: the largest error of an estimate."""
    workers: int

    @property
    def reach_s(self) -> float:
        """2 l + 2 K d."""
        return 2 * self.longest_s + 2 * self.workers * self.off_s

    def pairs(self, weights: Numbers) -> Numbers:
        """B_ij for every two communities."""
        return self.reach_s * (1 / weights[:, None] + 1 / weights[None, :])

    def behind(self, weights: Numbers) -> Numbers:
        """GPU seconds behind its share, for every community."""
        return self.reach_s * (1 + len(weights) * weights / weights.sum())


@dataclass(frozen=True, kw_only=True)
class Fairness:
    """What was measured."""

    bounds: Bounds
    apart_s: Numbers
    """The most by which the service over weight of i grew beyond that of j while both waited (seconds over weight)."""
    behind_s: Numbers
    """The most GPU seconds by which a community fell behind its share while it waited."""
    served_s: Numbers
    """GPU seconds of every community."""
    waited: Numbers
    """The share of all picks at which it had something waiting."""


def bounds_of(picks: Sequence[Pick], workers: int) -> Bounds:
    """The numbers of the formulas, from what really happened."""
    return Bounds(
        longest_s=max(p.gpu_s for p in picks),
        off_s=max(abs(p.gpu_s - p.estimate_s) for p in picks),
        workers=workers,
    )


def measure(picks: Sequence[Pick], weights: Numbers, workers: int) -> Fairness:
    """Go through the turns in the order they were given. A turn counts in full when it is given."""
    many = len(weights)
    served, waited = np.zeros(many), np.zeros(many)
    apart, lowest = np.zeros((many, many)), np.zeros((many, many))
    behind, least, share = np.zeros(many), np.zeros(many), weights / weights.sum()
    before, total = np.zeros(many, dtype=bool), 0.0
    for pick in picks:
        waits = _mask(pick.waiting, many)
        goes_on = waits & before & ~_mask(pick.broken, many)
        now = served / weights
        ahead = now[:, None] - now[None, :]
        lowest = np.where(goes_on[:, None] & goes_on[None, :], np.minimum(lowest, ahead), ahead)
        owed = share * total - served
        least = np.where(goes_on, np.minimum(least, owed), owed)
        served[pick.community] += pick.gpu_s
        total += pick.gpu_s
        now = served / weights
        both = waits[:, None] & waits[None, :]
        apart = np.where(both, np.maximum(apart, now[:, None] - now[None, :] - lowest), apart)
        behind = np.where(waits, np.maximum(behind, share * total - served - least), behind)
        before, waited = waits, waited + waits
    return Fairness(
        bounds=bounds_of(picks, workers),
        apart_s=apart,
        behind_s=behind,
        served_s=served,
        waited=waited / max(1, len(picks)),
    )


def _mask(places: frozenset[int], many: int) -> NDArray[np.bool_]:
    mask = np.zeros(many, dtype=bool)
    mask[list(places)] = True
    return mask
