"""Who is next: fair over communities and members, by GPU time, without saved-up idleness."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from storage.domain.fairness import Waiting, charged, line, next_for, start_tag

POCKET = frozenset({"pocket"})


def piece(name: str, community: str = "A", member: str = "ann", **more: object) -> Waiting:
    plain = Waiting(
        piece_id=name,
        community_id=community,
        member_id=member,
        community_tag=0.0,
        member_tag=0.0,
        weight=1.0,
        since=0.0,
        estimate_s=10.0,
        base="pocket",
    )
    return replace(plain, **more)  # type: ignore[arg-type]


def test_nothing_waiting_or_nothing_that_this_worker_can_do_is_nothing() -> None:
    assert next_for(POCKET, []) is None
    assert next_for(POCKET, [piece("1", base="sdxl")]) is None
    assert next_for(frozenset({"sdxl", "pocket"}), [piece("1", base="sdxl")]) is not None


def test_the_least_served_community_goes_first_then_its_least_served_member_then_the_oldest() -> None:
    pieces = [
        piece("a", community_tag=50),
        piece("b-late", "B", "bob", community_tag=10, member_tag=5, since=9),
        piece("b-early", "B", "bob", community_tag=10, member_tag=5, since=3),
        piece("b-heavy", "B", "bea", community_tag=10, member_tag=70, since=1),
    ]
    assert [w.piece_id for w in line(pieces)] == ["b-early", "b-late", "b-heavy", "a"]


def test_the_line_is_what_next_for_gives_one_after_the_other() -> None:
    pieces = [piece(f"{c}{n}", c, f"{c}{n}") for c in "ABC" for n in range(3)]
    assert line(pieces)[0] == next_for(POCKET, pieces)
    assert [w.community_id for w in line(pieces)] == ["A", "B", "C"] * 3


def test_a_community_with_nine_pieces_lets_another_go_second() -> None:
    pieces = [piece(f"a{n}", "A", f"a{n}") for n in range(9)] + [piece("b", "B", "bob", since=99)]
    assert [w.community_id for w in line(pieces)] == ["A", "B"] + ["A"] * 8


def test_idle_time_is_not_saved_up_and_debts_stay() -> None:
    assert start_tag(3.0, virtual_time=100.0) == 100.0
    assert start_tag(250.0, virtual_time=100.0) == 250.0


def test_weight_makes_time_cheaper_and_a_correction_gives_back() -> None:
    assert charged(10.0, gpu_s=60.0, weight=2.0) == 40.0
    assert charged(charged(10.0, gpu_s=60.0, weight=2.0), gpu_s=-50.0, weight=2.0) == 15.0


waiting = st.builds(
    lambda n, c, m, ct, mt, w, s, e: piece(
        f"p{n}", f"C{c}", f"M{c}{m}", community_tag=ct, member_tag=mt, weight=w, since=s, estimate_s=e
    ),
    st.integers(0, 10**6), st.integers(0, 3), st.integers(0, 2), st.floats(0, 1e4), st.floats(0, 1e4),
    st.floats(0.1, 10), st.floats(0, 1e4), st.floats(0.1, 1e3),
)  # fmt: skip


@given(st.lists(waiting, max_size=12, unique_by=lambda w: w.piece_id))
def test_the_line_holds_everybody_once_whatever_order_they_come_in(pieces: list[Waiting]) -> None:
    ordered = [w.piece_id for w in line(pieces)]
    assert sorted(ordered) == sorted(w.piece_id for w in pieces)
    shuffled = list(pieces)
    random.Random(1).shuffle(shuffled)
    assert [w.piece_id for w in line(shuffled)] == ordered


@settings(max_examples=40)
@given(
    weights=st.lists(st.sampled_from([0.5, 1.0, 2.0, 3.0]), min_size=2, max_size=4),
    seed=st.integers(0, 999),
)
def test_communities_that_always_wait_get_time_by_their_weights_within_one_turn(
    weights: list[float], seed: int
) -> None:
    """Goyal et al. 1996, theorem 1: served time over weight differs between two busy flows by at most one turn of each."""
    dice = random.Random(seed)
    longest = 50.0
    tags = dict.fromkeys(range(len(weights)), 0.0)
    served = dict.fromkeys(range(len(weights)), 0.0)
    for _ in range(200):
        chosen = next_for(POCKET, [piece(str(c), f"C{c}", community_tag=tags[c], weight=weights[c]) for c in tags])
        assert chosen is not None
        flow = int(chosen.piece_id)
        seconds = dice.uniform(1, longest)
        served[flow] += seconds
        tags[flow] = charged(tags[flow], gpu_s=seconds, weight=weights[flow])
    for a in tags:
        for b in tags:
            bound = longest / weights[a] + longest / weights[b]
            assert abs(served[a] / weights[a] - served[b] / weights[b]) <= bound
