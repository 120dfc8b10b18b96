"""Numbers from what the eyes see: likeness, adherence, variety, leakage, memorisation. Pure: embeddings in, numbers out.

Embeddings have length 1. N training pictures, K drawn pictures, R rows of a panel, D width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from storage.domain.plan import Plan, PreviewPrompt
from storage.domain.taste import utility
from trainer.gpu.judge import intervals
from trainer.gpu.judge.groups import Group, beside, groups_of
from trainer.gpu.judge.intervals import Interval

Drawn = Mapping[tuple[int, int], Tensor]
"""(row, seed) -> embedding (D,)."""
Looked = Mapping[tuple[int, int], Mapping[str, Tensor]]
"""(row, seed) -> embeddings by the names of the eyes; `CLIP` is always among them."""
CLIP = "clip"
"""The eye that reads too: adherence, variety, leakage and memorisation are its numbers."""
FLOOR = 0.05
"""No similarity or spread is divided by less: below, the eye sees nothing to compare with."""
STYLE = "style"
FLOORS: Mapping[str, float] = {STYLE: 0.005}
"""Where an eye's ways are shorter: squared, from plain drawings to those of a style, 0.017 to 0.04 for it, for CLIP 0.35 and more
(EXPERIMENTS.md, "An eye for styles")."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the eyes say about one panel."""

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
    second: float | None = None
    """Likeness by the second of the eyes."""
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    """Of these numbers, by their names in a measurement."""


@dataclass(frozen=True, kw_only=True)
class References:
    """What drawn pictures are held against; the same for every checkpoint and scale."""

    training: Mapping[str, Tensor]
    """Training pictures (N, D) by eye; zeros where an eye has nothing to see, as in a picture without a face."""
    base: Looked
    plain_RD: Tensor
    """The plain text of every row."""
    ids: tuple[str, ...] = ()
    """Of the training pictures, N."""
    order: tuple[str, ...] = (CLIP,)
    """The eyes that say likeness: the first decides, the second is heard."""

    @property
    def coherence(self) -> float | None:
        """How alike the training pictures are to each other for the first eye; None for a single one."""
        among = _pairs(_sighted(self.training[self.order[0]]))
        return float(among.mean()) if len(among) else None


def seen(plan: Plan, looked: Looked, references: References, prompts: Sequence[PreviewPrompt] | None = None) -> Seen:
    """All numbers of one panel; `prompts` are the plan's unless others were drawn."""
    rows = plan.prompts if prompts is None else prompts
    drawn, base = by(CLIP, looked), by(CLIP, references.base)
    triggered = [row for row, prompt in enumerate(rows) if prompt.with_trigger]
    others = [row for row in range(len(rows)) if row not in triggered]
    groups = groups_of(plan, rows, triggered, references.training, references.ids)
    like, second = _by_two_eyes(groups, looked, references)
    adherences = _adherences(groups, triggered, drawn, references)
    spread = _mean([variety(_rows(drawn, g.alone), _rows(base, g.alone)) for g in groups])
    leak = leakage(drawn, base, others)
    utilities = {
        row: utility(
            likeness=_mean([found[row] for found in like if row in found]),
            adherence=adherences[row],
            leakage=leak,
            variety=spread,
            subject_type=plan.subject_type,
            taste=plan.taste,
        )
        for row in triggered
    }
    copies = {row: memorisation(_row(drawn, row), group.training[CLIP]) for group in groups for row in group.rows}
    of_group, of_second = (_alone(groups, found) for found in (like, second))
    said = {
        "likeness": intervals.of_groups(of_group),
        "second_likeness": intervals.of_groups(of_second),
        "adherence": intervals.of_mean([*adherences.values()]),
        "utility": intervals.of_mean([*utilities.values()]),
        "memorisation": intervals.of_most([*copies.values()]),
        "leakage": _of_leakage(drawn, base, others),
        "variety": _of_variety(groups, drawn, base),
    }
    return Seen(
        likeness=_mean([*map(_mean, of_group)]),
        adherence=_mean(adherences),
        variety=spread,
        leakage=leak,
        memorisation=max(copies.values()),
        nearest=float((_rows(drawn, triggered) @ references.training[CLIP].T).max()),
        utilities=(*utilities.values(),),
        likenesses=(*map(_mean, of_group),),
        second=_mean([*map(_mean, of_second)]) if of_second else None,
        intervals={name: interval for name, interval in said.items() if interval},
    )


def by(eye: str, looked: Looked) -> Drawn:
    """A panel as one eye sees it."""
    return {cell: embeddings[eye] for cell, embeddings in looked.items()}


Rows = dict[int, float]
"""A number by row."""


def _by_two_eyes(groups: Sequence[Group], looked: Looked, references: References) -> tuple[list[Rows], list[Rows]]:
    """Likeness of every group's rows by the first eye, and by the second where there is one."""
    first, second, *_ = [*([_likenesses(eye, g, looked, references) for g in groups] for eye in references.order), []]
    return first, second


def _likenesses(eye: str, group: Group, looked: Looked, references: References) -> Rows:
    """Of each of a group's rows. The way begins at what the base draws for rows that show this concept alone."""
    drawn, base = by(eye, looked), by(eye, references.base)
    way = toward(_rows(base, group.alone), _sighted(group.training[eye]), FLOORS.get(eye, FLOOR))
    return {row: likeness(_row(drawn, row), _row(base, row), way) for row in group.rows}


def _adherences(groups: Sequence[Group], triggered: Sequence[int], drawn: Drawn, references: References) -> Rows:
    base, plain_RD = by(CLIP, references.base), references.plain_RD
    beside_it = {row: [other for other in beside(groups, row) if other != row] for row in triggered}
    return {
        row: adherence(_row(drawn, row), _row(base, row), plain_RD[row], plain_RD[beside_it[row]]) for row in triggered
    }


def _alone(groups: Sequence[Group], found: Sequence[Rows]) -> list[Rows]:
    """Of each group the rows that show nothing else; nothing where nothing was found."""
    return [{row: rows[row] for row in group.alone} for group, rows in zip(groups, found, strict=bool(found))]


def _of_leakage(drawn: Drawn, base: Drawn, others: Sequence[int]) -> Interval | None:
    moved, between = [_moved(drawn, base, row) for row in others], [spread(_row(base, row)) for row in others]
    return intervals.of_ratio(moved, between, FLOOR)


def _of_variety(groups: Sequence[Group], drawn: Drawn, base: Drawn) -> Interval | None:
    """Of several concepts none: each has two or three rows of its own."""
    if len(groups) > 1:
        return None
    now, before = ([_row(them, row) for row in groups[0].alone] for them in (drawn, base))
    return intervals.of_spreads(now, before, FLOOR)


def likeness(drawn_KD: Tensor, base_KD: Tensor, way: Toward) -> float:
    """How far pictures have moved from the base's at equal seeds towards the training pictures: 0 is the base, 1 is there.

    The movement is projected onto the direction from the base's mean picture to the training pictures' (the paired direction
    of StyleGAN-NADA, Gal et al. 2021, arXiv 2108.00946, section 4.1), so places, which both sides of a pair share, cancel. Plain
    similarities are ruled by the place: they were full after a quarter of the steps while likeness still grew
    (EXPERIMENTS.md, "What likeness measures").

    A drawn picture in which the eye sees nothing has not moved: a face that is gone is no nearer. Where the eye sees nothing in
    the base's picture alone, the way's start stands in for it.
    """
    from_KD = torch.where(_there(base_KD)[:, None], base_KD, way.from_D)
    moved_D = torch.where(_there(drawn_KD)[:, None], drawn_KD - from_KD, 0.0).mean(dim=0)
    return min(max(float(moved_D @ way.direction_D) / way.length_squared, 0.0), 1.0)


@dataclass(frozen=True, kw_only=True)
class Toward:
    """From the base's mean picture to the mean training picture."""

    from_D: Tensor
    """The mean of the base's pictures in which the eye sees something."""
    direction_D: Tensor
    length_squared: float
    """What a training picture that had no part in the direction reaches along it, on average; at least the eye's floor."""


def toward(base_KD: Tensor, training_ND: Tensor, floor: float = FLOOR) -> Toward:
    """The way that likeness is measured along; the same for every checkpoint and scale.

    Its length is taken from pairs of different training pictures: a picture's likeness to itself is not reached by any other.
    """
    among, from_D, to_D = _pairs(training_ND), _sighted(base_KD).mean(dim=0), training_ND.mean(dim=0)
    own = float(among.mean()) if len(among) else float(to_D @ to_D)
    reached = own - 2.0 * float(from_D @ to_D) + float(from_D @ from_D)
    return Toward(from_D=from_D, direction_D=to_D - from_D, length_squared=max(reached, floor))


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


def seed_varieties(drawn: Drawn, base: Drawn, rows: Sequence[int]) -> list[float]:
    """Mean distance between pictures of one prompt over the base's, for every prompt that has two seeds."""
    return [variety(_row(drawn, row), _row(base, row)) for row in rows if len(_row(drawn, row)) > 1]


def leakage(drawn: Drawn, base: Drawn, rows: Sequence[int]) -> float:
    """Distance from the base at equal seed over the base's distance between seeds, for prompts without the trigger."""
    moved, between = [_moved(drawn, base, row) for row in rows], [spread(_row(base, row)) for row in rows]
    return _mean(moved) / max(_mean(between), FLOOR) if rows else 0.0


def _moved(drawn: Drawn, base: Drawn, row: int) -> float:
    """Mean distance from the base at equal seed; the base may have more seeds."""
    return _mean([1.0 - float(now_D @ base[cell]) for cell, now_D in drawn.items() if cell[0] == row])


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


def _sighted(many_ND: Tensor) -> Tensor:
    """Without pictures in which the eye saw nothing; all of them where it saw nothing anywhere."""
    there_N = _there(many_ND)
    return many_ND[there_N] if bool(there_N.any()) else many_ND


def _there(many_ND: Tensor) -> Tensor:
    """In which pictures the eye saw something (N,): where it saw nothing, the embedding is zeros."""
    return many_ND.norm(dim=-1) > 0


def _mean(values: Sequence[float] | Rows) -> float:
    known = [*values.values()] if isinstance(values, dict) else values
    return sum(known) / len(known) if known else 0.0
