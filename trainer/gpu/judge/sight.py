"""Numbers from what the eye sees: likeness, adherence, variety, leakage, memorisation. Pure: embeddings in, numbers out.

Embeddings have length 1. N training pictures, K drawn pictures, D width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from storage.domain.concepts import shown
from storage.domain.plan import Plan, PreviewPrompt
from storage.domain.taste import utility

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
    likenesses: tuple[float, ...] = ()
    """Per concept, in the plan's order; where there are none, of the one subject."""


@dataclass(frozen=True, kw_only=True)
class References:
    """What drawn pictures are held against; the same for every checkpoint and scale."""

    training_ND: Tensor
    base: Drawn
    plain_RD: Tensor
    """The plain text of every row."""
    ids: tuple[str, ...] = ()
    """Of the training pictures, N."""


@dataclass(frozen=True, kw_only=True)
class _Group:
    """A concept's rows and what they are held against; without concepts, all triggered rows and all pictures."""

    rows: tuple[int, ...]
    """Those that show it."""
    alone: tuple[int, ...]
    """Those that show nothing else; where there are none, all of `rows`."""
    training_ND: Tensor


def seen(plan: Plan, drawn: Drawn, references: References, prompts: Sequence[PreviewPrompt] | None = None) -> Seen:
    """All numbers of one panel; `prompts` are the plan's unless others were drawn."""
    rows = plan.prompts if prompts is None else prompts
    triggered = [row for row, prompt in enumerate(rows) if prompt.with_trigger]
    groups = _groups(plan, rows, triggered, references)
    like = [_likenesses(group, drawn, references.base) for group in groups]
    of_row = {row: _mean([found[row] for found in like if row in found]) for row in triggered}
    of_group = [_mean([found[row] for row in group.alone]) for group, found in zip(groups, like, strict=True)]
    adherences = [
        adherence(
            _row(drawn, row),
            _row(references.base, row),
            references.plain_RD[row],
            references.plain_RD[[other for other in _beside(groups, row) if other != row]],
        )
        for row in triggered
    ]
    spread = _mean([variety(_rows(drawn, g.alone), _rows(references.base, g.alone)) for g in groups])
    leak = leakage(drawn, references.base, [row for row in range(len(rows)) if row not in triggered])
    utilities = tuple(
        utility(
            likeness=of_row[row],
            adherence=adhere,
            leakage=leak,
            variety=spread,
            subject_type=plan.subject_type,
            taste=plan.taste,
        )
        for row, adhere in zip(triggered, adherences, strict=True)
    )
    return Seen(
        likeness=_mean(of_group),
        adherence=_mean(adherences),
        variety=spread,
        leakage=leak,
        memorisation=max(memorisation(_rows(drawn, g.rows), g.training_ND) for g in groups),
        nearest=float((_rows(drawn, triggered) @ references.training_ND.T).max()),
        utilities=utilities,
        likenesses=tuple(of_group),
    )


def _groups(
    plan: Plan, rows: Sequence[PreviewPrompt], triggered: Sequence[int], references: References
) -> tuple[_Group, ...]:
    if not plan.concepts:
        return (_Group(rows=(*triggered,), alone=(*triggered,), training_ND=references.training_ND),)
    known = {row: shown(plan, rows[row].text) for row in triggered}
    found = []
    for number, concept in enumerate(plan.concepts):
        own = [at for at, id_ in enumerate(references.ids) if id_ in concept.pictures]
        with_it = tuple(row for row, numbers in known.items() if number in numbers)
        alone = tuple(row for row in with_it if known[row] == (number,))
        found.append(_Group(rows=with_it, alone=alone or with_it, training_ND=references.training_ND[own]))
    return tuple(found)


def _likenesses(group: _Group, drawn: Drawn, base: Drawn) -> dict[int, float]:
    """Of each of a group's rows. The way begins at what the base draws for rows that show this concept alone."""
    way = toward(_rows(base, group.alone), group.training_ND)
    return {row: likeness(_row(drawn, row), _row(base, row), way) for row in group.rows}


def _beside(groups: Sequence[_Group], row: int) -> list[int]:
    """The rows that show just what a row shows: prompts of another class would tell apart classes, and not obedience."""
    own = [group for group in groups if row in group.rows]
    return sorted(set.intersection(*(set(group.rows) for group in own))) if len(own) != 1 else sorted(own[0].alone)


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
    now, before = (contrast(many_KD, plain_D, others_OD) for many_KD in (drawn_KD, base_KD))
    return max(now, 0.0) / max(before, FLOOR)


def contrast(drawn_KD: Tensor, plain_D: Tensor, others_OD: Tensor) -> float:
    """How much nearer pictures are to their own plain prompt than to the mean of the others: what `adherence` is a ratio of."""
    away_D = others_OD.mean(dim=0) if len(others_OD) else torch.zeros_like(plain_D)
    return float((drawn_KD @ (plain_D - away_D)).mean())


def variety(drawn_KD: Tensor, base_KD: Tensor) -> float:
    """Mean distance between drawn pictures over the base's."""
    return spread(drawn_KD) / max(spread(base_KD), FLOOR)


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
        between.append(spread(was_KD))
    return _mean(moved) / max(_mean(between), FLOOR) if rows else 0.0


def memorisation(drawn_KD: Tensor, training_ND: Tensor) -> float:
    """The closest that a drawn picture comes to a training picture, over the closest that two of those are."""
    among = _pairs(training_ND)
    closest = float(among.max()) if len(among) else 1.0
    return float((drawn_KD @ training_ND.T).max()) / max(closest, FLOOR)


def _rows(drawn: Drawn, rows: Sequence[int]) -> Tensor:
    return torch.cat([_row(drawn, row) for row in rows])


def _row(drawn: Drawn, row: int) -> Tensor:
    return torch.stack([embedding for (at, _), embedding in sorted(drawn.items(), key=lambda i: i[0]) if at == row])


def _pairs(many_ND: Tensor) -> Tensor:
    """Similarities of all pairs."""
    upper = torch.triu(torch.ones(len(many_ND), len(many_ND), dtype=torch.bool), diagonal=1)
    return (many_ND @ many_ND.T)[upper]


def spread(many_KD: Tensor) -> float:
    """Mean distance between pictures; 0 for a single one."""
    among = _pairs(many_KD)
    return float((1.0 - among).mean()) if len(among) else 0.0


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
