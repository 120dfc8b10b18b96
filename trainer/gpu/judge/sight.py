"""Numbers from what the eye sees: likeness, adherence, variety, leakage, memorisation. Pure: embeddings in, numbers out.

Embeddings have length 1. N training pictures, K drawn pictures, D width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from storage.domain.choice import utility
from storage.domain.plan import Plan, PreviewPrompt

Drawn = Mapping[tuple[int, int], Tensor]
"""(row, seed) -> embedding (D,)."""
FLOOR = 0.05
"""No similarity or spread is divided by less: below, the eye sees nothing to compare with."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the eye says about one panel."""

    likeness: float
    adherence: float
    variety: float
    leakage: float
    memorisation: float
    nearest: float
    """The closest that a drawn picture comes to a training picture, as a cosine."""
    utilities: tuple[float, ...]
    """Per triggered prompt, in the plan's order."""


@dataclass(frozen=True, kw_only=True)
class References:
    """What drawn pictures are held against; the same for every checkpoint and scale."""

    training_ND: Tensor
    base: Drawn
    plain_RD: Tensor
    """The plain text of every row."""


def seen(plan: Plan, drawn: Drawn, references: References, prompts: Sequence[PreviewPrompt] | None = None) -> Seen:
    """All numbers of one panel; `prompts` are the plan's unless others were drawn."""
    rows = plan.prompts if prompts is None else prompts
    triggered = [row for row, prompt in enumerate(rows) if prompt.with_trigger]
    all_drawn = torch.cat([_row(drawn, row) for row in triggered])
    all_base = torch.cat([_row(references.base, row) for row in triggered])
    way = toward(all_base, references.training_ND)
    likenesses = [likeness(_row(drawn, row), _row(references.base, row), way) for row in triggered]
    adherences = [
        adherence(
            _row(drawn, row),
            _row(references.base, row),
            references.plain_RD[row],
            references.plain_RD[[other for other in triggered if other != row]],
        )
        for row in triggered
    ]
    spread = variety(all_drawn, all_base)
    leak = leakage(drawn, references.base, [row for row in range(len(rows)) if row not in triggered])
    utilities = tuple(
        utility(likeness=like, adherence=adhere, leakage=leak, variety=spread, subject_type=plan.subject_type)
        for like, adhere in zip(likenesses, adherences, strict=True)
    )
    return Seen(
        likeness=_mean(likenesses),
        adherence=_mean(adherences),
        variety=spread,
        leakage=leak,
        memorisation=memorisation(all_drawn, references.training_ND),
        nearest=float((all_drawn @ references.training_ND.T).max()),
        utilities=utilities,
    )


def likeness(drawn_KD: Tensor, base_KD: Tensor, toward: Toward) -> float:
    """How far pictures have moved from the base's at equal seeds towards the training pictures: 0 is the base, 1 is there.

    The movement is projected onto the direction from the base's mean picture to the training pictures' (the paired direction
    of StyleGAN-NADA, Gal et al. 2021, arXiv 2108.00946, section 4.1), so places, which both sides of a pair share, cancel. Plain
    similarities are ruled by the place: they were full after a quarter of the steps while likeness still grew
    (EXPERIMENTS.md, "What likeness measures").
    """
    moved_D = (drawn_KD - base_KD).mean(dim=0)
    return min(max(float(moved_D @ toward.direction_D) / toward.length_squared, 0.0), 1.0)


@dataclass(frozen=True, kw_only=True)
class Toward:
    """From the base's mean picture to the mean training picture."""

    direction_D: Tensor
    length_squared: float
    """What a training picture that had no part in the direction reaches along it, on average; at least `FLOOR`."""


def toward(base_KD: Tensor, training_ND: Tensor) -> Toward:
    """The way that likeness is measured along; the same for every checkpoint and scale.

    Its length is taken from pairs of different training pictures: a picture's likeness to itself is not reached by any other.
    """
    among, from_D, to_D = _pairs(training_ND), base_KD.mean(dim=0), training_ND.mean(dim=0)
    own = float(among.mean()) if len(among) else float(to_D @ to_D)
    reached = own - 2.0 * float(from_D @ to_D) + float(from_D @ from_D)
    return Toward(direction_D=to_D - from_D, length_squared=max(reached, FLOOR))


def adherence(drawn_KD: Tensor, base_KD: Tensor, plain_D: Tensor, others_OD: Tensor) -> float:
    """How much nearer pictures are to their own plain prompt than to the other prompts', over the base's, at least 0.

    All triggered prompts name the same class, so the difference leaves what a prompt asks for besides: a subject that looks
    unlike its class is not taken for disobedience. With a single prompt it is the plain similarity.
    """
    away_D = others_OD.mean(dim=0) if len(others_OD) else torch.zeros_like(plain_D)
    now, before = (float((many_KD @ (plain_D - away_D)).mean()) for many_KD in (drawn_KD, base_KD))
    return max(now, 0.0) / max(before, FLOOR)


def variety(drawn_KD: Tensor, base_KD: Tensor) -> float:
    """Mean distance between drawn pictures over the base's."""
    return _spread(drawn_KD) / max(_spread(base_KD), FLOOR)


def seed_variety(drawn: Drawn, base: Drawn, rows: Sequence[int]) -> float | None:
    """Mean distance between pictures of one prompt over the base's; None where no prompt has two seeds."""
    ratios = [variety(_row(drawn, row), _row(base, row)) for row in rows if len(_row(drawn, row)) > 1]
    return _mean(ratios) if ratios else None


def leakage(drawn: Drawn, base: Drawn, rows: Sequence[int]) -> float:
    """Distance from the base at equal seed over the base's distance between seeds, for prompts without the trigger."""
    moved, between = [], []
    for row in rows:
        now_KD, was_KD = _row(drawn, row), _row(base, row)
        moved.append(float((1.0 - (now_KD * was_KD).sum(dim=-1)).mean()))
        between.append(_spread(was_KD))
    return _mean(moved) / max(_mean(between), FLOOR) if rows else 0.0


def memorisation(drawn_KD: Tensor, training_ND: Tensor) -> float:
    """The closest that a drawn picture comes to a training picture, over the closest that two of those are."""
    among = _pairs(training_ND)
    closest = float(among.max()) if len(among) else 1.0
    return float((drawn_KD @ training_ND.T).max()) / max(closest, FLOOR)


def _row(drawn: Drawn, row: int) -> Tensor:
    return torch.stack([embedding for (at, _), embedding in sorted(drawn.items(), key=lambda i: i[0]) if at == row])


def _pairs(many_ND: Tensor) -> Tensor:
    """Similarities of all pairs."""
    upper = torch.triu(torch.ones(len(many_ND), len(many_ND), dtype=torch.bool), diagonal=1)
    return (many_ND @ many_ND.T)[upper]


def _spread(many_KD: Tensor) -> float:
    among = _pairs(many_KD)
    return float((1.0 - among).mean()) if len(among) else 0.0


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
