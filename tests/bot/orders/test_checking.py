"""The post about the look at all pictures: said once, answered by the owner alone, and training goes on."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import Session, select

from bot.doctoring import Doctoring
from bot.plan_card import PlanCards
from storage import checkups, orders
from storage.domain.doctor import Ailment, Finding
from storage.tables import Checkup, Piece, now

Bench = Any


def looked_at(session: Session, order_id: str, strangers: int) -> None:
    """As the worker leaves it: found, written down, the turn given back."""
    rows = orders.kept(session, order_id)
    foreign = (Finding(ailment=Ailment.OUTLIER, measure=5.0),)
    seen = checkups.Seen(
        pictures={p.id: foreign for p in rows[:strangers]},
        whole=(Finding(ailment=Ailment.ONE_BACKGROUND, measure=0.9),),
        captions={},
        trigger_like=None,
        trigger_pieces=3,
    )
    piece = session.exec(select(Piece).where(Piece.order_id == order_id)).one()
    piece.state, piece.executor_id = "waiting", None
    assert checkups.note(session, order_id, seen, wait_s=600)


async def an_asked_order(bench: Bench, strangers: int = 1) -> str:
    running = await bench.bot()
    Doctoring(running.parts, PlanCards(running.parts)).register(running.client.presses)
    order_id: str = await bench.order()
    await bench.database.transact(looked_at, order_id, strangers)
    return order_id


async def test_the_owner_leaves_out_what_was_proposed_and_the_plan_is_made_anew(bench: Bench) -> None:
    order_id = await an_asked_order(bench)
    post = await bench.said(order_id, "I looked at your pictures together")
    assert "png looks unlike the others" in post.content
    assert "All backgrounds are much alike" in post.content
    assert "Training waits for your word until" in post.content
    stranger = await bench.member("Bruno")
    await stranger.click(post, "Leave out 1 picture and go on")
    assert (await bench.get(Checkup, order_id)).answer == ""
    await (await bench.member("Ada")).click(post, "Leave out 1 picture and go on")

    async def answered() -> bool:
        return bool((await bench.get(Checkup, order_id)).answer == "drop")

    await bench.until(answered)
    assert len(await bench.database.transact(orders.kept, order_id)) == 5
    post = await bench.said(order_id, "What I proposed to leave out is left out")
    assert not post.buttons()
    piece = await bench.get(Piece, f"{order_id}:train:1")
    assert (piece.hold_until, piece.state) == (None, "waiting")


async def test_nobody_answers_and_the_buttons_go_with_the_time(bench: Bench) -> None:
    order_id = await an_asked_order(bench, strangers=0)
    post = await bench.said(order_id, "Training waits for your word")
    assert list(post.buttons()) == ["Go on as it is"]

    def over(session: Session) -> None:
        session.get_one(Checkup, order_id).answer_by = now() - timedelta(seconds=1)

    await bench.database.transact(over)

    async def bare() -> bool:
        return not (await bench.said(order_id, "I looked at your pictures together")).buttons()

    await bench.until(bare)


@pytest.mark.parametrize("word", ["cat", None])
async def test_where_nothing_was_found_nothing_is_said(bench: Bench, word: str | None) -> None:
    await bench.bot()
    order_id = await bench.order()

    def clean(session: Session) -> None:
        seen = checkups.Seen(pictures={}, whole=(), captions={}, trigger_like=word, trigger_pieces=2)
        assert not checkups.note(session, order_id, seen, wait_s=600)

    await bench.database.transact(clean)
    if word:
        await bench.said(order_id, "it hears it as cat")
        return
    await bench.progress(order_id, step=1, steps=10)
    await bench.said(order_id, "step 1 of 10")
    assert not [m for m in await bench.messages(order_id) if "looked at your pictures" in m.content]
