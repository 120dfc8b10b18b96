"""Orders from draft to delivery, on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlmodel import Session, select

from storage import orders
from storage.database import Database
from storage.domain.errors import Fault, IllegalMove, OrderFault, OrderRefused, PictureFault
from storage.domain.lifecycle import Stage
from storage.domain.measurement import Measurement
from storage.engine import Engine
from storage.tables import Checkpoint, DepartureRow, Order, Piece, PlanRow, now
from tests.storage.making import a_plan, draft, keep, started


def fault_of(error: pytest.ExceptionInfo[OrderRefused]) -> OrderFault:
    return error.value.fault


def test_the_same_interaction_twice_is_one_draft(database: Database) -> None:
    with database.session() as session:
        first = draft(session)
    with database.session() as session:
        again = draft(session)
        assert again.id == first.id
        assert len(orders.pictures_of(session, first.id)) == 5
        assert draft(session, "2").id != first.id


async def test_the_same_interaction_twice_at_once_is_one_draft(database: Database) -> None:
    found = await asyncio.gather(*(database.transact(draft, "1") for _ in range(6)))
    assert len({o.id for o in found}) == 1
    with database.session() as session:
        assert len(orders.pictures_of(session, found[0].id)) == 5


def test_pictures_are_kept_and_refused_one_by_one(database: Database) -> None:
    with database.session() as session:
        order = draft(session, pictures=3)
        added = orders.add_links(session, order.id, [("https://cdn/9.png?ex=2", "9.png", 5)])
        assert [p.id for p in orders.linked(session, order.id)] == [f"{order.id}-p3"]
        orders.refuse_picture(session, added[0].id, PictureFault.TOO_SMALL, "10 x 10")
    with database.session() as session:
        assert [p.position for p in orders.kept(session, order.id)] == [0, 1, 2]
        assert orders.pictures_of(session, order.id)[3].fault == "too_small"
        assert orders.linked(session, order.id) == []


def test_a_link_that_is_there_is_not_added_again_even_with_a_new_signature(database: Database) -> None:
    with database.session() as session:
        order = draft(session)
        assert orders.add_links(session, order.id, [("https://cdn/1.png?ex=another", "1.png", 1)]) == []


def test_the_forty_first_picture_is_refused_by_name_and_a_refused_one_makes_room(database: Database) -> None:
    with database.session() as session:
        order = draft(session, pictures=41)
        pictures = orders.pictures_of(session, order.id)
        assert [p.fault for p in pictures if p.state == "refused"] == ["one_too_many"]
        assert len(orders.kept(session, order.id)) == 40
        orders.refuse_picture(session, pictures[0].id, PictureFault.TRUNCATED)
        more = orders.add_links(session, order.id, [("https://cdn/x.png", "x", 1), ("https://cdn/y.png", "y", 1)])
        for picture in more:
            keep(session, picture.id)
        assert [p.state for p in more] == ["kept", "refused"]


def test_a_picture_that_is_refused_takes_no_place(database: Database) -> None:
    with database.session() as session:
        order = draft(session, pictures=39)
        bad, good, late = orders.add_links(session, order.id, [(f"https://cdn/{x}.png", x, 1) for x in "xyz"])
        assert [bad.state, good.state, late.state] == ["linked"] * 3
        orders.refuse_picture(session, bad.id, PictureFault.TRUNCATED)
        keep(session, good.id)
        keep(session, late.id)
        assert [(p.state, p.fault) for p in (good, late)] == [("kept", None), ("refused", "one_too_many")]
        keep(session, good.id)
        assert good.state == "kept"


def test_start_puts_plan_piece_and_turn_in_the_same_transaction(database: Database, client: Engine) -> None:
    with database.session() as session:
        order = started(session, client)
    assert (order.stage, order.interaction_token, order.expires_at) == ("queued", "", None)
    with database.session() as session:
        assert orders.plan_of(session, order.id) == a_plan()
        piece = session.get_one(Piece, f"{order.id}:train:1")
        assert (piece.state, piece.community_id, piece.member_id) == ("waiting", "A", "ann")
    assert client.statuses([f"{order.id}:train:1:1"]) == {f"{order.id}:train:1:1": "ENQUEUED"}


def test_a_start_that_is_taken_back_leaves_no_turn_behind(database: Database, client: Engine) -> None:
    with database.session() as session:
        order = draft(session)
    with pytest.raises(RuntimeError), database.session() as session:  # noqa: PT012  # the transaction is what is tested
        orders.start(session, client, order.id, a_plan())
        raise RuntimeError("power cut")
    assert client.turns_waiting() == 0
    with database.session() as session:
        assert session.get_one(Order, order.id).stage == "draft"
        assert session.get(PlanRow, order.id) is None


def test_start_needs_four_kept_pictures_and_a_draft(database: Database, client: Engine) -> None:
    with database.session() as session:
        few = draft(session, pictures=3)
    with pytest.raises(OrderRefused) as error, database.session() as session:
        orders.start(session, client, few.id, a_plan())
    assert fault_of(error) is OrderFault.TOO_FEW_PICTURES
    with database.session() as session:
        order = started(session, client, "2")
    with pytest.raises(OrderRefused) as error, database.session() as session:
        orders.start(session, client, order.id, a_plan())
    assert fault_of(error) is OrderFault.TOO_LATE
    with pytest.raises(OrderRefused) as error, database.session() as session:
        orders.start(session, client, "nothing", a_plan())
    assert fault_of(error) is OrderFault.UNKNOWN


async def test_of_two_starts_at_once_by_one_member_one_wins(database: Database, client: Engine) -> None:
    drafts = [await database.transact(draft, str(n)) for n in range(4)]
    found = await asyncio.gather(
        *(database.transact(orders.start, client, d.id, a_plan()) for d in drafts), return_exceptions=True
    )
    refused = [f for f in found if isinstance(f, OrderRefused)]
    assert len([f for f in found if isinstance(f, Order)]) == 1
    assert [f.fault for f in refused] == [OrderFault.ALREADY_RUNNING] * 3
    assert client.turns_waiting() == 1


def test_other_members_other_communities_and_ballots_do_not_count(database: Database, client: Engine) -> None:
    with database.session() as session:
        first = started(session, client, "1")
        started(session, client, "2", owner="bob")
        started(session, client, "3", community="B")
        orders.move(session, client, first.id, Stage.TRAINING)
        with pytest.raises(OrderRefused):
            started(session, client, "4")
        orders.move(session, client, first.id, Stage.VOTING)
        assert started(session, client, "5").stage == "queued"


def test_an_order_walks_the_whole_table(database: Database, client: Engine) -> None:
    with database.session() as session:
        order = started(session, client)
        for stage in (Stage.TRAINING, Stage.VOTING, Stage.SCALING, Stage.DELIVERING, Stage.DELIVERED):
            orders.move(session, client, order.id, stage)
        assert order.finished_at is not None
    work = client.statuses([f"{order.id}:{stage}:{n}" for n, stage in enumerate(Stage)])
    assert set(work) == {f"{order.id}:voting:3", f"{order.id}:delivering:5"}, "stages that the bot moves, by attempt"
    with database.session() as session:
        assert session.get(Piece, f"{order.id}:sweep:1") is not None
        with pytest.raises(IllegalMove):
            orders.move(session, client, order.id, Stage.TRAINING)


def test_cancelling_writes_the_intent_first_and_then_stops_everything(database: Database, client: Engine) -> None:
    with database.session() as session:
        order = started(session, client)
        orders.ask_cancel(session, order.id, "mod", "rude")
        orders.ask_cancel(session, order.id, "somebody else")
    with database.session() as session:
        assert session.get_one(Order, order.id).cancel_by == "mod"
        assert session.get_one(Order, order.id).stage == "queued"
        assert orders.cancel(session, client, order.id) == []
        assert orders.cancel(session, client, order.id) == [], "twice is no error"
        assert session.get_one(Piece, f"{order.id}:train:1").state == "cancelled"
        assert session.get_one(Order, order.id).finished_at is not None
        with pytest.raises(OrderRefused) as error:
            orders.ask_cancel(session, order.id, "ann")
    assert fault_of(error) is OrderFault.TOO_LATE


def test_a_failed_order_can_be_tried_again_from_where_it_was_stored(database: Database, client: Engine) -> None:
    with database.session() as session:
        order = started(session, client)
        orders.move(session, client, order.id, Stage.TRAINING)
        session.get_one(Piece, f"{order.id}:train:1").step = 80
        orders.fail(session, client, order.id, Fault.MACHINE, "the disk is full")
        assert (order.stage, order.fault, order.fault_reason) == ("failed", "machine", "the disk is full")
        assert orders.can_retry(order)
    with database.session() as session:
        again = orders.retry(session, client, order.id)
        assert (again.stage, again.fault, again.expires_at) == ("queued", None, None)
        second = session.get_one(Piece, f"{order.id}:train:2")
        assert (second.state, second.step) == ("waiting", 80)
        assert session.get_one(Piece, f"{order.id}:train:1").state == "failed"
        with pytest.raises(OrderRefused):
            orders.retry(session, client, order.id)


def test_a_retry_counts_as_a_start(database: Database, client: Engine) -> None:
    with database.session() as session:
        failed = started(session, client, "1")
        orders.fail(session, client, failed.id, Fault.PROGRAM, "x")
        started(session, client, "2")
        with pytest.raises(OrderRefused) as error:
            orders.retry(session, client, failed.id)
    assert fault_of(error) is OrderFault.ALREADY_RUNNING


def test_failing_what_has_ended_changes_nothing(database: Database, client: Engine) -> None:
    with database.session() as session:
        order = started(session, client)
        orders.cancel(session, client, order.id)
        assert orders.fail(session, client, order.id, Fault.MACHINE, "late").stage == "cancelled"


def test_only_drafts_that_nobody_started_in_time_expire(database: Database, client: Engine) -> None:
    with database.session() as session:
        old, fresh = draft(session, "1"), draft(session, "2")
        old.expires_at = now() - timedelta(seconds=1)
        queued = started(session, client, "3")
    with database.session() as session:
        assert orders.expire_drafts(session, now()) == [old.id]
        assert orders.expire_drafts(session, now()) == []
        stages = {o.id: o.stage for o in session.exec(select(Order)).all()}
    assert stages == {old.id: "expired", fresh.id: "draft", queued.id: "queued"}
    with pytest.raises(OrderRefused), database.session() as session:
        orders.add_links(session, old.id, [])


def test_departures_and_candidates_come_back_as_the_domain_knows_them(database: Database, client: Engine) -> None:
    measured = Measurement(
        validation_ratio=0.9, training_ratio=None, likeness=0.7, adherence=0.8, variety=None, leakage=0.1,
        memorisation=None, utility=0.6, utilities=(0.5, 0.7), flags=(), seconds=1.5,
    )  # fmt: skip
    with database.session() as session:
        order = started(session, client)
        session.add(DepartureRow(order_id=order.id, step=40, kind="learning_rate_halved", reason="nan"))
        session.add(DepartureRow(order_id=order.id, step=20, kind="micro_batch_halved", reason="memory"))
        for step, votes in ((100, 0), (50, 3)):
            session.add(_checkpoint(order.id, step, votes, measured))
    with database.session() as session:
        assert [(d.step, d.kind) for d in orders.departures_of(session, order.id)] == [
            (20, "micro_batch_halved"),
            (40, "learning_rate_halved"),
        ]
        found = orders.candidates(session, order.id)
    assert [(c.step, c.votes, c.measurement) for c in found] == [(50, 3, measured), (100, 0, measured)]


def _checkpoint(order_id: str, step: int, votes: int, measured: Measurement) -> Checkpoint:
    return Checkpoint(
        order_id=order_id,
        step=step,
        lora_artifact=f"orders/{order_id}/checkpoints/{step}/lora.safetensors",
        lora_sha256="0" * 64,
        lora_bytes=1,
        grid_artifact=f"orders/{order_id}/checkpoints/{step}/grid.png",
        measurement_json=measured.to_json(),
        votes=votes,
    )


def test_a_kept_picture_may_be_kept_again_and_twins_are_told_by_name(database: Database) -> None:
    def both(session: Session) -> dict[str, tuple[str, str]]:
        order = draft(session, pictures=1)
        keep(session, f"{order.id}-p0")
        orders.keep_picture(
            session, f"{order.id}-p0", sha256="s", dhash="0" * 16, width=1, height=1, artifact="a", thumb="t"
        )
        return orders.twins(session, order.id)

    with database.session() as session:
        assert both(session) == {"0.png": ("s", "t")}
