"""Who is next on the GPU: start-time fair queueing over communities, then over the members of one.

Goyal, Vin and Cheng, "Start-time Fair Queueing" (SIGCOMM 1996), section 2: a flow's tag is the virtual time up to which it
has been served; the waiting piece with the smallest start tag goes first; serving it moves the tag on by its cost over its
weight. A flow that was idle starts again at the virtual time of now, so that nobody saves up. Here the flows are
communities, the cost is GPU seconds: an estimate when a piece is taken, corrected by the measured seconds when it is given
back, so that early stops and cancels give back what they did not use.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """One piece of GPU work that waits, with what decides about it."""

    piece_id: str
    community_id: str
    member_id: str
    community_tag: float
    """Virtual seconds that the community has been served."""
    member_tag: float
    """The same for the member inside the community."""
    weight: float
    """The community's share; 2.0 gets twice as much as 1.0."""
    since: float
    """Unix seconds since when it waits; the older first among equals."""
    estimate_s: float
    """GPU seconds that its next turn is expected to take."""
    base: str
    """The base model that it needs."""


def start_tag(tag: float, virtual_time: float) -> float:
    """Where a flow that begins to wait starts: never before now, so that idle time is not saved up."""
    return max(tag, virtual_time)


def charged(tag: float, *, gpu_s: float, weight: float) -> float:
    """The tag after `gpu_s` more (or, negative, fewer) GPU seconds."""
    return tag + gpu_s / weight


def next_for(bases: frozenset[str], waiting: Iterable[Waiting]) -> Waiting | None:
    """The piece that a worker with these bases takes next; None where nothing waits that it can do."""
    able = [w for w in waiting if w.base in bases]
    return min(able, key=_rank, default=None)


def _rank(piece: Waiting) -> tuple[float, str, float, float, str]:
    # The community's id comes before the member's tag so that two communities of equal tag do not mix their members.
    return (piece.community_tag, piece.community_id, piece.member_tag, piece.since, piece.piece_id)


def line(waiting: Sequence[Waiting]) -> list[Waiting]:
    """The order in which the pieces would start if nothing else came: what `/queue` shows.

    Each piece is charged its estimate as it is taken, as the real queue does.
    """
    left = list(waiting)
    ordered: list[Waiting] = []
    while left:
        taken = min(left, key=_rank)
        ordered.append(taken)
        left = [_after(w, taken) for w in left if w.piece_id != taken.piece_id]
    return ordered


def _after(waiting: Waiting, taken: Waiting) -> Waiting:
    if waiting.community_id != taken.community_id:
        return waiting
    tag = charged(waiting.community_tag, gpu_s=taken.estimate_s, weight=taken.weight)
    if waiting.member_id != taken.member_id:
        return replace(waiting, community_tag=tag)
    return replace(
        waiting, community_tag=tag, member_tag=charged(waiting.member_tag, gpu_s=taken.estimate_s, weight=1.0)
    )
