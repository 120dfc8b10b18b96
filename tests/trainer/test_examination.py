"""The look at all pictures before the first step, as the supervisor and the rows see it."""

from __future__ import annotations

import asyncio
import json
import shutil
from typing import Any

import pytest
from sqlmodel import Session, select

from storage import checkups, orders, turns
from storage.captions import named, write_captions
from storage.domain.doctor import Ailment, Finding, to_json
from storage.domain.errors import OrderRefused
from storage.domain.plan import Plan
from storage.tables import Checkup, Order, Picture, Piece
from tests.trainer.conftest import MakeBench
from tests.trainer.ordering import a_plan, order_of
from trainer.events import Examined
from trainer.job import take_turn
from trainer.turn import Bench

STRANGER = to_json([Finding(ailment=Ailment.OUTLIER, measure=5.0)])
MIXED = to_json([Finding(ailment=Ailment.MIXED, measure=0.4)])


def seen(*strangers: str, whole: str = "[]", **captions: str) -> str:
    return json.dumps({"pictures": dict.fromkeys(strangers, STRANGER), "whole": whole, "captions": captions})


async def an_order(bench: Bench, community: str = "77") -> str:
    return await order_of(bench.database, bench.engine, bench.artifacts, community=community)


def checkup(session: Session, order_id: str) -> Checkup | None:
    return checkups.checkup_of(session, order_id)


def piece(session: Session, order_id: str) -> Piece:
    return session.exec(select(Piece).where(Piece.order_id == order_id)).one()


async def test_training_waits_for_the_owner_and_goes_on_when_told(make_bench: MakeBench) -> None:
    bench = await make_bench(seen=seen(whole=MIXED))
    id_ = await an_order(bench)
    assert await take_turn(bench, "first") is not None
    row = await bench.database.transact(checkup, id_)
    assert row is not None
    assert row.answer_by is not None
    waiting = await bench.database.transact(piece, id_)
    assert (waiting.state, waiting.step, waiting.failures) == ("waiting", 0, 0)
    assert await take_turn(bench, "too early") is None
    assert not await bench.database.transact(turns.awaited, ["pocket"])
    await bench.database.transact(checkups.go_on, bench.engine, id_)
    assert await take_turn(bench, "now") is not None
    assert (await bench.database.transact(piece, id_)).step == 2
    with pytest.raises(OrderRefused):
        await bench.database.transact(checkups.go_on, bench.engine, id_)


async def test_nobody_answers_and_training_goes_on_by_itself(make_bench: MakeBench) -> None:
    bench = await make_bench(seen=seen(whole=MIXED), doctor_wait_s=0.3)
    id_ = await an_order(bench)
    await take_turn(bench, "first")
    assert await bench.database.transact(turns.ensure_turns, bench.engine, ["pocket"]) == 0
    await asyncio.sleep(0.35)
    assert await take_turn(bench, "later") is not None
    assert (await bench.database.transact(piece, id_)).step == 2


@pytest.mark.parametrize("where", ["local", "77"])
async def test_nothing_found_or_nobody_to_ask_means_no_wait(make_bench: MakeBench, where: str) -> None:
    bench = await make_bench(seen=seen(whole=MIXED if where == "local" else "[]"))
    id_ = await an_order(bench, where)
    await take_turn(bench, "first")
    assert (await bench.database.transact(piece, id_)).step == 2


async def test_strangers_are_left_out_at_a_word_and_the_plan_made_anew(make_bench: MakeBench) -> None:
    bench = await make_bench()
    id_ = await an_order(bench)
    bench.seat.launch = bench.settings.model_copy(update={"seen": seen(f"{id_}-p4")}).launch()
    await take_turn(bench, "first")

    def leave_out(session: Session) -> Plan:
        out = checkups.go_on_without(session, bench.engine, id_)
        assert [p.id for p in out] == [f"{id_}-p4"]
        order, left = session.get_one(Order, id_), orders.kept(session, id_)
        checkups.replan(session, id_, a_plan(order, [p.id for p in left]))
        return orders.plan_of(session, id_)

    await bench.database.transact(leave_out)
    await take_turn(bench, "second")
    job = json.loads((bench.settings.work / id_ / "job.json").read_text())
    assert len(job["pictures"]) == 5
    assert f"{id_}-p4" not in {p["id"] for p in job["pictures"]}
    assert (await bench.database.transact(piece, id_)).step == 2


async def test_faces_are_kept_with_the_order_and_every_worker_crops_by_them(make_bench: MakeBench) -> None:
    bench = await make_bench()
    id_ = await an_order(bench)
    said = json.dumps({"pictures": {}, "whole": "[]", "captions": {}, "faces": {f"{id_}-p2": [0.1, 0.2, 0.3, 0.4]}})
    bench.seat.launch = bench.settings.model_copy(update={"seen": said}).launch()
    await take_turn(bench, "first")
    faces = {p["id"]: p["face"] for p in json.loads((bench.settings.work / id_ / "job.json").read_text())["pictures"]}
    assert faces.pop(f"{id_}-p2") == [0.1, 0.2, 0.3, 0.4]
    assert set(faces.values()) == {None}
    shutil.rmtree(bench.settings.work / id_)  # another machine goes on
    await take_turn(bench, "second")
    again = {p["id"]: p["face"] for p in json.loads((bench.settings.work / id_ / "job.json").read_text())["pictures"]}
    assert again[f"{id_}-p2"] == [0.1, 0.2, 0.3, 0.4]


@pytest.mark.parametrize("box", [[0.1, 0.2, 0.3, 1.5], [0.1, 0.2, 0.3], [0.1, 0.2, "NaN", 0.4]])
async def test_a_face_that_is_no_box_in_the_picture_is_refused(box: list[Any]) -> None:
    with pytest.raises(ValueError, match="faces"):
        Examined.model_validate({"pictures": {}, "whole": "[]", "captions": {}, "faces": {"p": box}})


async def test_captions_that_were_written_wait_for_the_owner_and_what_is_corrected_is_trained_on(
    make_bench: MakeBench,
) -> None:
    bench = await make_bench()
    id_ = await an_order(bench)
    said = {f"{id_}-p0": "the toy on a shelf", f"{id_}-p1": "the toy at sea", f"{id_}-p2": "the toy in snow"}
    bench.seat.launch = bench.settings.model_copy(update={"seen": seen(**said)}).launch()
    await take_turn(bench, "first")
    assert await bench.database.transact(checkups.waits, id_)
    rows = await bench.database.transact(checkups.captioned, id_)
    assert {p.id: p.caption for p in rows} == said

    def correct(session: Session) -> None:
        names = {p.id: name for name, p in named(orders.pictures_of(session, id_)).items()}
        write_captions(session, id_, {names[f"{id_}-p0"]: "the toy on a bench", names[f"{id_}-p1"]: ""}, "owner")

    await bench.database.transact(correct)
    await bench.database.transact(checkups.go_on, bench.engine, id_)
    await take_turn(bench, "second")
    assert (await bench.database.transact(piece, id_)).step == 2
    job = json.loads((bench.settings.work / id_ / "job.json").read_text())
    trigger = Plan.from_json(job["plan"]).trigger
    captions = {p["id"]: p["caption"] for p in job["pictures"]}
    assert captions[f"{id_}-p0"] == f"{trigger} toy, the toy on a bench"
    assert captions[f"{id_}-p1"] == "", "taken away, it takes the standard ones"
    assert captions[f"{id_}-p2"] == f"{trigger} toy, the toy in snow"
    with pytest.raises(OrderRefused):
        await bench.database.transact(correct)


async def test_what_a_captioner_says_reaches_the_job_but_not_over_the_owners_words(make_bench: MakeBench) -> None:
    bench = await make_bench()
    id_ = await an_order(bench)
    said = {f"{id_}-p0": "the toy on a shelf", f"{id_}-p1": "the toy at sea"}
    bench.seat.launch = bench.settings.model_copy(update={"seen": seen(**said)}).launch()

    def own_words(session: Session) -> None:
        session.get_one(Picture, f"{id_}-p1").caption = "mine"

    await bench.database.transact(own_words)
    await take_turn(bench, "first")
    await bench.database.transact(checkups.go_on, bench.engine, id_)
    await take_turn(bench, "second")
    job = json.loads((bench.settings.work / id_ / "job.json").read_text())
    trigger = Plan.from_json(job["plan"]).trigger
    captions = {p["id"]: p["caption"] for p in job["pictures"]}
    assert captions[f"{id_}-p0"] == f"{trigger} toy, the toy on a shelf"
    assert captions[f"{id_}-p1"] == f"{trigger} toy, mine"
    assert captions[f"{id_}-p2"] == ""
