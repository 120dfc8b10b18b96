"""Turns on the GPU, on SQLite and PostgreSQL: who gets them, what they cost, what happens when they are lost."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from sqlmodel import Session, select

from storage import orders, pieces, turns
from storage.database import Database
from storage.domain.lifecycle import Stage
from storage.domain.pace import turn_s
from storage.engine import Engine
from storage.tables import Attempt, Community, Order, Piece
from storage.turns import Taken
from tests.storage.making import started

POCKET = frozenset({"pocket"})


def pick(session: Session, engine: Engine, executor: str = "w1", key: str = "k") -> Taken | None:
    return turns.pick(session, engine, executor, POCKET, key)


def picked(session: Session, engine: Engine, executor: str = "w1", key: str = "k") -> Taken:
    taken = pick(session, engine, executor, key)
    assert taken is not None
    return taken


def tag(session: Session, community: str) -> float:
    return session.exec(select(Community.tag).where(Community.id == community)).one()


def test_the_first_turn_moves_the_order_to_training_and_charges_the_estimate(
    database: Database, client: Engine
) -> None:
    with database.session() as session:
        order = started(session, client)
    with database.session() as session:
        taken = picked(session, client, key="turn-7")
    assert (taken.order_id, taken.kind, taken.turn, taken.step, taken.base) == (order.id, "train", 1, 0, "pocket")
    with database.session() as session:
        assert session.get_one(Order, order.id).stage == "training"
        assert tag(session, "A") == pytest.approx(turn_s(orders.plan_of(session, order.id), "train"))
        piece = session.get_one(Piece, taken.piece_id)
        assert (piece.state, piece.executor_id, piece.turn_key) == ("running", "w1", "turn-7")
        assert pick(session, client) is None, "a running piece is not given twice"
        assert turns.holds(session, taken)


def test_a_worker_is_given_only_what_its_bases_can_do(database: Database, client: Engine) -> None:
    with database.session() as session:
        started(session, client)
        assert turns.pick(session, client, "w1", {"sdxl"}, "k") is None
        assert turns.pick(session, client, "w1", {"sdxl", "pocket"}, "k") is not None


def test_giving_back_corrects_the_charge_and_asks_for_the_next_turn(database: Database, client: Engine) -> None:
    with database.session() as session:
        started(session, client)
        taken = picked(session, client)
        assert turns.give_back(session, client, taken, gpu_s=12.5, step=50, outcome="more")
    with database.session() as session:
        piece = session.get_one(Piece, taken.piece_id)
        assert (piece.state, piece.step, piece.executor_id) == ("waiting", 50, None)
        assert tag(session, "A") == pytest.approx(12.5)
        assert session.get_one(Attempt, f"{taken.piece_id}:1").gpu_s == 12.5
        assert piece.estimate_s == pytest.approx(12.5), "the next turn is expected to cost what turns did cost"
    assert client.statuses([f"{taken.piece_id}:2"]) == {f"{taken.piece_id}:2": "ENQUEUED"}


def test_a_done_piece_is_not_given_again(database: Database, client: Engine) -> None:
    with database.session() as session:
        started(session, client)
        taken = picked(session, client)
        turns.give_back(session, client, taken, gpu_s=3, step=200, outcome="done")
        assert session.get_one(Piece, taken.piece_id).state == "done"
        assert pick(session, client) is None
        assert not turns.give_back(session, client, taken, gpu_s=99, step=1, outcome="more"), "twice counts once"
        assert tag(session, "A") == pytest.approx(3)


def test_nothing_is_given_while_paused_and_resume_brings_the_turns_back(database: Database, client: Engine) -> None:
    with database.session() as session:
        started(session, client)
        turns.pause(session)
        session.flush()
        assert pick(session, client) is None
        assert turns.ensure_turns(session, client) == 0
    before = client.turns_waiting()
    with database.session() as session:
        for n in range(3):
            started(session, client, f"x{n}", owner=f"o{n}")
    with database.session() as session:
        session.execute(_used_up(client))
    with database.session() as session:
        assert turns.resume(session, client) == 4
        session.flush()
    assert client.turns_waiting() == 4
    assert before == 1
    with database.session() as session:
        assert turns.resume(session, client) == 0, "there are enough"
        assert pick(session, client) is not None


def _used_up(client: Engine):  # noqa: ANN202  # a statement of SQLAlchemy
    """As if workers had taken all turns during the pause and found nothing."""
    import sqlalchemy as sa

    schema = "" if client.settings.on_sqlite else "dbos."
    return sa.text(f"UPDATE {schema}workflow_status SET status = 'SUCCESS'")  # noqa: S608  # two fixed names


def test_communities_take_turns_whatever_they_queued(database: Database, client: Engine) -> None:
    """A queued nine, then B one: B's first turn is the second one given."""
    with database.session() as session:
        for n in range(9):
            started(session, client, f"a{n}", owner=f"a{n}")
        started(session, client, "b", community="B", owner="bob")
        given = []
        for n in range(10):
            taken = picked(session, client, executor="w", key=f"k{n}")
            given.append(session.get_one(Order, taken.order_id).community_id)
            turns.give_back(session, client, taken, gpu_s=20, step=1, outcome="done")
    assert given == ["A", "B"] + ["A"] * 8


def test_a_community_of_double_weight_gets_double_the_time(database: Database, client: Engine) -> None:
    with database.session() as session:
        for n in range(12):
            started(session, client, f"a{n}", owner=f"a{n}")
            started(session, client, f"b{n}", community="B", owner=f"b{n}")
        session.get_one(Community, "B").weight = 2.0
        session.flush()
        given = []
        for n in range(12):
            taken = picked(session, client, executor="w", key=f"k{n}")
            given.append(session.get_one(Order, taken.order_id).community_id)
            turns.give_back(session, client, taken, gpu_s=20, step=1, outcome="done")
    assert given.count("B") == 8


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_community_with_one_order_beside_many_workers_saves_up_one_turn_at_most(
    database: Database, client: Engine
) -> None:
    """Three workers, one order of A, many of B: A can use one worker, and the two others are no credit for later."""
    with database.session() as session:
        started(session, client, "a", owner="ann")
        for n in range(3):
            started(session, client, f"b{n}", community="B", owner=f"b{n}")
        for n in range(5):
            given = [picked(session, client, executor=f"w{w}", key=f"k{n}{w}") for w in range(3)]
            assert [session.get_one(Order, t.order_id).community_id for t in given].count("A") == 1
            for taken in given:
                turns.give_back(session, client, taken, gpu_s=20, step=n + 1, outcome="more")
        behind = tag(session, "B") - tag(session, "A")
        assert behind <= 3 * 20, "the last turns of B, and one turn of credit; A was given 100 s less"


def test_time_is_not_saved_up_while_idle(database: Database, client: Engine) -> None:
    with database.session() as session:
        for n in range(5):
            started(session, client, f"a{n}", owner=f"a{n}")
            taken = picked(session, client, key=f"k{n}")
            turns.give_back(session, client, taken, gpu_s=100, step=1, outcome="done")
        started(session, client, "b", community="B", owner="bob")
        assert tag(session, "A") == pytest.approx(500)
        assert tag(session, "B") == pytest.approx(400), "it begins where the last turn began, not at nothing"


def test_members_of_one_community_take_turns_too(database: Database, client: Engine) -> None:
    with database.session() as session:
        started(session, client, "1", owner="ann")
        started(session, client, "2", owner="bob")
        owners = []
        for n in range(4):
            taken = picked(session, client, key=f"k{n}")
            owners.append(session.get_one(Order, taken.order_id).owner_id)
            turns.give_back(session, client, taken, gpu_s=10, step=n + 1, outcome="more")
    assert owners in (["ann", "bob"] * 2, ["bob", "ann"] * 2)


def test_cancelling_a_running_order_names_its_turn_and_the_charge_is_corrected(
    database: Database, client: Engine
) -> None:
    with database.session() as session:
        order = started(session, client)
        taken = picked(session, client, key="turn-9")
        assert orders.cancel(session, client, order.id) == ["turn-9"]
        assert not turns.holds(session, taken)
    with database.session() as session:
        assert turns.give_back(session, client, taken, gpu_s=4, step=10, outcome="cancelled")
        assert tag(session, "A") == pytest.approx(4)
        assert session.get_one(Piece, taken.piece_id).state == "cancelled"
        assert session.get_one(Attempt, f"{taken.piece_id}:1").outcome == "cancelled"
    assert client.turns_waiting() == 1, "no new turn was asked for; the first one was never run here"


def test_a_dead_workers_turn_is_given_again_at_no_charge_and_its_late_word_is_ignored(
    database: Database, client: Engine
) -> None:
    with database.session() as session:
        started(session, client)
        lost = picked(session, client, executor="dead")
    with database.session() as session:
        assert turns.give_up(session, client, "dead") == 1
        assert turns.give_up(session, client, "dead") == 0
        assert tag(session, "A") == pytest.approx(0)
        assert session.get_one(Attempt, f"{lost.piece_id}:1").outcome == "lost"
    with database.session() as session:
        again = picked(session, client, executor="w2")
        assert (again.piece_id, again.turn) == (lost.piece_id, 2)
        assert not turns.holds(session, lost)
        assert not turns.give_back(session, client, lost, gpu_s=50, step=70, outcome="more")
        assert turns.holds(session, again)
        assert session.get_one(Piece, again.piece_id).step == 0
    assert client.statuses([f"{lost.piece_id}:2"]) == {f"{lost.piece_id}:2": "ENQUEUED"}


def test_three_turns_without_progress_fail_the_order(database: Database, client: Engine) -> None:
    with database.session() as session:
        order = started(session, client)
        for n in range(3):
            assert session.get_one(Order, order.id).stage in ("queued", "training")
            taken = picked(session, client, executor=f"w{n}")
            if n == 1:
                turns.give_back(session, client, taken, gpu_s=1, step=0, outcome="failed")
            else:
                turns.give_up(session, client, f"w{n}")
        failed = session.get_one(Order, order.id)
        assert (failed.stage, failed.fault) == ("failed", "machine")
        assert pick(session, client) is None


def test_progress_forgives_failures(database: Database, client: Engine) -> None:
    with database.session() as session:
        order = started(session, client)
        for n in range(8):
            taken = picked(session, client, executor=f"w{n}")
            if n % 2:
                turns.give_back(session, client, taken, gpu_s=1, step=10 * n, outcome="more")
            else:
                turns.give_up(session, client, f"w{n}")
        assert session.get_one(Order, order.id).stage == "training"
        assert session.get_one(Piece, taken.piece_id).step == 70


async def test_many_workers_picking_at_once_never_get_the_same_piece(database: Database, client: Engine) -> None:
    def fill(session: Session) -> None:
        for n in range(6):
            started(session, client, f"a{n}", owner=f"a{n}", community="AB"[n % 2])

    await database.transact(fill)
    found = await asyncio.gather(*(database.transact(pick, client, f"w{n}", f"k{n}") for n in range(8)))
    given = [t.piece_id for t in found if t is not None]
    assert len(given) == len(set(given)) == 6


async def test_cancels_and_picks_at_once_leave_no_running_piece_of_a_cancelled_order(
    database: Database, client: Engine
) -> None:
    def fill(session: Session) -> list[str]:
        return [started(session, client, f"a{n}", owner=f"a{n}").id for n in range(6)]

    ids = await database.transact(fill)
    picks = [database.transact(pick, client, f"w{n}", f"k{n}") for n in range(6)]
    cancels = [database.transact(orders.cancel, client, i) for i in ids]
    await asyncio.gather(*(task for pair in zip(picks, cancels, strict=True) for task in pair))
    with database.session() as session:
        assert {p.state for p in session.exec(select(Piece)).all()} == {"cancelled"}
        assert {o.stage for o in session.exec(select(Order)).all()} == {"cancelled"}


def test_a_sweep_is_a_piece_like_any_other(database: Database, client: Engine) -> None:
    with database.session() as session:
        order = started(session, client)
        taken = picked(session, client)
        turns.give_back(session, client, taken, gpu_s=9, step=200, outcome="done")
        orders.move(session, client, order.id, Stage.VOTING)
        orders.move(session, client, order.id, Stage.SCALING)
        sweep = picked(session, client, key="k2")
        assert (sweep.kind, sweep.piece_id) == ("sweep", f"{order.id}:sweep:1")
        assert session.get_one(Order, order.id).stage == "scaling"


def test_estimates_are_the_mean_of_measured_turns_of_the_same_kind(database: Database, client: Engine) -> None:
    with database.session() as session:
        order = started(session, client)
        for n, seconds in enumerate((10.0, 30.0)):
            taken = picked(session, client, key=f"k{n}")
            turns.give_back(session, client, taken, gpu_s=seconds, step=n + 1, outcome="more")
        plan = orders.plan_of(session, order.id)
        assert pieces.estimate_s(session, plan, "train") == pytest.approx(20)
        assert pieces.estimate_s(session, plan, "sweep") == turn_s(plan, "sweep")
        other = replace(plan, base="sdxl")
        assert pieces.estimate_s(session, other, "train") == turn_s(other, "train")
        longer = replace(plan, steps=2 * plan.steps)
        share = turn_s(longer, "train") / turn_s(plan, "train")
        assert pieces.estimate_s(session, longer, "train") == pytest.approx(20 * share)
