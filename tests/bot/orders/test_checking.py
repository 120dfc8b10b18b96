"""The post about the look at all pictures: said once, answered by the owner alone, and training goes on."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import Session, select

from bot.captioning import Captioning
from bot.doctoring import Doctoring
from bot.download import downloads
from bot.plan_card import PlanCards
from storage import checkups, orders
from storage.captions import write_captions
from storage.domain.doctor import Ailment, Finding
from storage.domain.errors import OrderRefused
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
    assert list(post.buttons()) == ["Go on as it is", "Captions"]

    def over(session: Session) -> None:
        session.get_one(Checkup, order_id).answer_by = now() - timedelta(seconds=1)

    await bench.database.transact(over)

    async def bare() -> bool:
        return not (await bench.said(order_id, "I looked at your pictures together")).buttons()

    await bench.until(bare)


SAID = "the woman on a *beach*, @everyone"


async def captioned(bench: Bench, many: int = 6) -> str:
    """An order whose pictures a captioner gave words; nothing was found wrong."""
    running = await bench.bot()
    cards = PlanCards(running.parts)
    Doctoring(running.parts, cards).register(running.client.presses)
    fetches = await bench.stack.enter_async_context(downloads(running.parts.settings))
    Captioning(running.parts, cards, fetches).register(running.client.presses)
    order_id: str = await bench.order()

    def said(session: Session) -> None:
        rows = orders.kept(session, order_id)
        captions = {p.id: f"{SAID} {n}" for n, p in enumerate(rows[:many])}
        seen = checkups.Seen(pictures={}, whole=(), captions=captions, trigger_like=None, trigger_pieces=3)
        piece = session.exec(select(Piece).where(Piece.order_id == order_id)).one()
        piece.state, piece.executor_id = "waiting", None
        assert checkups.note(session, order_id, seen, wait_s=600)

    await bench.database.transact(said)
    return order_id


async def test_captions_of_a_captioner_are_shown_to_the_owner_and_corrected_while_training_waits(bench: Bench) -> None:
    order_id = await captioned(bench)
    post = await bench.said(order_id, "I wrote captions for 6 pictures that had none")
    assert "beach" not in post.content, "everybody reads the thread, and the pictures are the owner's"
    assert "Training waits for your word until" in post.content
    assert list(post.buttons()) == ["Go on as it is", "Captions"]
    ada = await bench.member("Ada")
    opened = await ada.click(post, "Captions")
    names = [p.source_name for p in await bench.database.transact(orders.kept, order_id)]
    assert f"#1 {names[0]}: {SAID} 0" in json.dumps(opened.modal)
    await ada.submit_modal(opened, {"lines": "#1: the woman by a river\n#2:"})

    async def corrected() -> bool:
        rows = await bench.database.transact(orders.kept, order_id)
        return [(p.caption, p.caption_from) for p in rows[:3]] == [
            ("the woman by a river", "owner"), ("", ""), (f"{SAID} 2", "captioner"),
        ]  # fmt: skip

    await bench.until(corrected)
    assert "I wrote captions for 4 pictures" in (await bench.said(order_id, "for 4 pictures that had none")).content
    await ada.click(await bench.said(order_id, "I wrote captions"), "Go on as it is")

    async def gone_on() -> bool:
        return (await bench.get(Piece, f"{order_id}:train:1")).hold_until is None

    await bench.until(gone_on)
    with pytest.raises(OrderRefused):
        await bench.database.transact(write_captions, order_id, {names[0]: "too late"}, "owner")


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
