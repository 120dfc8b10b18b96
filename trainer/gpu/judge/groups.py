"""Which rows of a panel show what, and which training pictures they are held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from storage.domain.concepts import shown
from storage.domain.plan import Plan, PreviewPrompt


@dataclass(frozen=True, kw_only=True)
class Group:
    """A concept's rows and what they are held against; without concepts, all triggered rows and all pictures."""

    rows: tuple[int, ...]
    """Those that show it."""
    alone: tuple[int, ...]
    """Those that show nothing else; where there are none, all of `rows`."""
    training: Mapping[str, Tensor]
    """Its pictures (N, D) as each eye sees them."""


def groups_of(
    plan: Plan,
    rows: Sequence[PreviewPrompt],
    triggered: Sequence[int],
    training: Mapping[str, Tensor],
    ids: Sequence[str],
) -> tuple[Group, ...]:
    """One a concept, in the plan's order; `ids` are the training pictures'."""
    if not plan.concepts:
        return (Group(rows=(*triggered,), alone=(*triggered,), training=training),)
    known = {row: shown(plan, rows[row].text) for row in triggered}
    found = []
    for number, concept in enumerate(plan.concepts):
        own = [at for at, id_ in enumerate(ids) if id_ in concept.pictures]
        with_it = tuple(row for row, numbers in known.items() if number in numbers)
        alone = tuple(row for row in with_it if known[row] == (number,))
        pictures = {eye: seen_ND[own] for eye, seen_ND in training.items()}
        found.append(Group(rows=with_it, alone=alone or with_it, training=pictures))
    return tuple(found)


def beside(groups: Sequence[Group], row: int) -> list[int]:
    """The rows that show just what a row shows: prompts of another class would tell apart classes, and not obedience."""
    own = [group for group in groups if row in group.rows]
    return sorted(set.intersection(*(set(group.rows) for group in own))) if len(own) != 1 else sorted(own[0].alone)
