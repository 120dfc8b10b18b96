"""How far the judge's numbers may be trusted: bootstrap intervals over prompts (Efron 1979, Annals of Statistics 7, 1).

Prompts are what is drawn from many possible ones; seeds and pictures within a prompt go with it. With the four or five prompts of a
panel the intervals are rough, and rather too narrow. Nothing is random: the resamples of a number of prompts are always the same.

Shapes: B resamples, R prompts (rows), K pictures, D width of embeddings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import torch
from torch import Tensor

RESAMPLES = 1000
SHARE = 0.95
"""Of the resamples within the interval."""
DIGITS = 4

Interval = tuple[float, float]


@cache
def resamples(rows: int) -> Tensor:
    """How often each of R rows is in each resample: (B, R), float64."""
    drawn_BR = torch.randint(rows, (RESAMPLES, rows), generator=torch.Generator().manual_seed(rows))
    counts_BR = torch.zeros(RESAMPLES, rows, dtype=torch.float64)
    return counts_BR.scatter_add_(1, drawn_BR, torch.ones_like(counts_BR))


def of_mean(values: Sequence[float]) -> Interval | None:
    """Of a mean over rows; None where fewer than two rows say it, as everywhere here."""
    return within(resamples(len(values)) @ _numbers(values) / len(values)) if len(values) > 1 else None


def of_groups(groups: Sequence[Mapping[int, float]]) -> Interval | None:
    """Of a mean over groups of each group's mean over its rows; a group that a resample missed is not counted in it."""
    rows = sorted({row for group in groups for row in group})
    if len(rows) < 2:
        return None
    counts_BR, means = resamples(len(rows)), []
    for group in groups:
        at = [rows.index(row) for row in group]
        means.append(counts_BR[:, at] @ _numbers([*group.values()]) / counts_BR[:, at].sum(dim=1))
    return within(torch.nanmean(torch.stack(means), dim=0))


def of_most(values: Sequence[float]) -> Interval | None:
    """Of a largest value."""
    if len(values) < 2:
        return None
    there_BR = torch.where(resamples(len(values)) > 0, _numbers(values), -torch.inf)
    return within(there_BR.max(dim=1).values)


def of_ratio(above: Sequence[float], below: Sequence[float], floor: float) -> Interval | None:
    """Of a mean over another, the latter at least `floor`."""
    if len(above) < 2:
        return None
    counts_BR = resamples(len(above)) / len(above)
    return within(counts_BR @ _numbers(above) / (counts_BR @ _numbers(below)).clamp_min(floor))


def of_spreads(drawn: Sequence[Tensor], base: Sequence[Tensor], floor: float) -> Interval | None:
    """Of the mean distance between pictures over the base's; embeddings (K, D) of each row."""
    if len(drawn) < 2:
        return None
    return within(_spreads(drawn) / _spreads(base).clamp_min(floor))


def _spreads(rows: Sequence[Tensor]) -> Tensor:
    """Mean distance between different pictures in each resample (B); a row's copies are not compared with each other."""
    total_RR, pairs_RR = _blocks(rows)
    counts_BR = resamples(len(rows))
    weights_BRR = counts_BR[:, :, None] * counts_BR[:, None, :]
    own_BRR = torch.diag_embed(counts_BR)
    weights_BRR = torch.where(own_BRR > 0, own_BRR, weights_BRR).triu()
    between_B = (weights_BRR * total_RR).sum(dim=(1, 2))
    return between_B / (weights_BRR * pairs_RR).sum(dim=(1, 2)).clamp_min(1.0)


def _blocks(rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Sum of distances and number of pairs between the pictures of any two rows, and within each: (R, R)."""
    count = len(rows)
    total_RR, pairs_RR = (torch.zeros(count, count, dtype=torch.float64) for _ in range(2))
    for r, one_KD in enumerate(rows):
        for s in range(r, count):
            apart_KK = 1.0 - (one_KD @ rows[s].T).double()
            inner = torch.triu(torch.ones_like(apart_KK), diagonal=1) if r == s else torch.ones_like(apart_KK)
            total_RR[r, s], pairs_RR[r, s] = (apart_KK * inner).sum(), inner.sum()
    return total_RR, pairs_RR


def within(found_B: Tensor) -> Interval | None:
    """The middle `SHARE` of what the resamples say; None where one of them says nothing."""
    known_B = found_B[~found_B.isnan()]
    if not len(known_B) or not bool(known_B.isfinite().all()):
        return None
    tail = (1.0 - SHARE) / 2
    low, high = torch.quantile(known_B, torch.tensor([tail, 1.0 - tail], dtype=known_B.dtype)).tolist()
    return round(low, DIGITS), round(high, DIGITS)


def _numbers(values: Sequence[float]) -> Tensor:
    return torch.tensor([*values], dtype=torch.float64)
