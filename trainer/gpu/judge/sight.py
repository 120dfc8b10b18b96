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
    likenesses = [likeness(_row(drawn, row), _row(references.base, row), references.training_ND) for row in triggered]
    adherences = [
        adherence(
            _row(drawn, row),
            _row(references.base, row),
            references.plain_RD[row],
            references.plain_RD[[other for other in triggered if other != row]],
        )
        for row in triggered
    ]
    all_drawn = torch.cat([_row(drawn, row) for row in triggered])
    all_base = torch.cat([_row(references.base, row) for row in triggered])
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


def likeness(drawn_KD: Tensor, base_KD: Tensor, training_ND: Tensor) -> float:
    """Where the mean similarity to the training pictures lies between the base's (0) and theirs to each other (1).

    Without the base's part, whatever shares class and place with the training pictures already counts for 0.8, and the
    sweep prefers scales at which nothing of the subject is to be seen (EXPERIMENTS.md, "Recipe of the pocket").
    """
    among = _pairs(training_ND)
    own = float(among.mean()) if len(among) else 1.0
    now, before = (float((many_KD @ training_ND.T).mean()) for many_KD in (drawn_KD, base_KD))
    return min(max((now - before) / max(own - before, FLOOR), 0.0), 1.0)


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
