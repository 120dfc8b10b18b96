"""Threads that are gone, forbidden or cannot be made: the order goes on, and nothing is said twice."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlmodel import Session

from bot import threads
from bot.loopback.threads import remove_channel
from storage.domain.lifecycle import Stage
from storage.tables import Post

Bench = Any


async def test_a_forbidden_thread_is_left_alone_and_the_order_goes_on(bench: Bench) -> None:
    running = await bench.bot()
    order_id = await bench.order()
    await bench.said(order_id, "-status")
    thread = await bench.thread(order_id)
    before = len(await bench.director.transcript())
    await bench.director.direct(
        "overwrite", channel_id=str(bench.server.channel_id("lora")), deny=["SEND_MESSAGES_IN_THREADS", "VIEW_CHANNEL"]
    )
    await bench.trained(order_id)
    await bench.vote(running, order_id)
    await asyncio.sleep(0.6)
    refused = [t for t in (await bench.director.transcript())[before:] if t["status"] in (401, 403, 429)]
    assert 1 <= len(refused) <= 3
    assert order_id in running.story.announcer.blocked
    await bench.director.direct("overwrite", channel_id=str(bench.server.channel_id("lora")), allow=["VIEW_CHANNEL"])
    running.story.announcer._not_before.clear()
    for step in (2, 4, 6, 8, 10):
        await bench.grid(order_id, step)
    await bench.said(order_id, f"{order_id}-sheet.png")
    assert sum(bool(m.files) for m in await bench.director.messages(thread)) == 6, "five grids and the sheet"


async def test_an_order_whose_thread_is_gone_is_delivered_all_the_same(bench: Bench) -> None:
    running = await bench.bot()
    order_id = await bench.order(name="Lost")
    await bench.said(order_id, "-status")
    await bench.trained(order_id)
    await bench.grid(order_id, 10)
    await bench.director.direct("overwrite", channel_id=str(bench.server.channel_id("lora")), deny=["VIEW_CHANNEL"])
    await bench.vote(running, order_id)
    await bench.database.transact(_choose, order_id, 4)
    await bench.move(None, order_id, Stage.SCALING)
    await bench.swept(running, order_id)
    order = await bench.stage(order_id, Stage.DELIVERED)
    assert order.finished_at is not None


def _choose(session: Session, order_id: str, step: int) -> None:
    from storage.tables import Order

    session.get_one(Order, order_id).chosen_step = step


async def test_a_thread_that_exists_already_is_taken_over(bench: Bench) -> None:
    order_id = await bench.order()
    first = await bench.bot()
    thread = await bench.thread(order_id)
    await first.kill()
    await bench.database.transact(_forget_thread, order_id)
    await bench.bot()
    assert await bench.thread(order_id) == thread


def _forget_thread(session: Session, order_id: str) -> None:
    from storage.tables import Order

    session.get_one(Order, order_id).thread_id = None


def _kind(bench: Bench, kind: int) -> None:
    bench.server.world.channels[bench.server.channel_id("lora")].kind = kind


VOICE = 2


async def test_an_order_is_delivered_although_its_channel_can_have_no_thread(bench: Bench) -> None:
    _kind(bench, VOICE)
    running = await bench.bot()
    order_id = await bench.order()
    await bench.trained(order_id)
    await bench.until(lambda: order_id in running.story.announcer.blocked)
    await bench.vote(running, order_id)
    await bench.database.transact(_choose, order_id, 4)
    await bench.move(None, order_id, Stage.SCALING)
    await bench.swept(running, order_id)
    await bench.stage(order_id, Stage.DELIVERED)


async def test_an_order_whose_card_is_refused_again_and_again_is_delivered_all_the_same(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await bench.bot()
    order_id = await bench.order()
    await bench.trained(order_id)
    await bench.grid(order_id, 10)
    await bench.vote(running, order_id)
    await bench.database.transact(_choose, order_id, 4)
    await bench.move(None, order_id, Stage.SCALING)
    monkeypatch.setattr(threads.delivery, "card_text", _refuse)
    await bench.swept(running, order_id)
    await bench.stage(order_id, Stage.DELIVERED)
    assert f"{order_id}-card" not in [m.content for m in await bench.messages(order_id)]


def _refuse(*_: Any, **__: Any) -> str:
    raise ValueError("a measurement that cannot be read")


async def test_a_deleted_thread_is_made_anew_and_tells_everything_again(bench: Bench) -> None:
    running = await bench.bot()
    order_id = await bench.order()
    await bench.checkpoint(order_id, 2)
    await bench.grid(order_id, 2)
    first = await bench.thread(order_id)
    remove_channel(bench.server.service, bench.server.world.channels[first])
    await bench.checkpoint(order_id, 4)

    async def another() -> bool:
        return (await bench.row(order_id)).thread_id not in (None, str(first))

    await bench.until(another)
    await bench.grid(order_id, 2)
    await bench.grid(order_id, 4)
    assert order_id not in running.story.announcer.blocked


async def test_a_thread_that_is_deleted_during_the_vote_comes_back_with_its_sheet(bench: Bench) -> None:
    running = await bench.bot()
    order_id = await bench.order()
    await bench.trained(order_id)
    await bench.vote(running, order_id)
    await bench.said(order_id, f"{order_id}-sheet.png")
    await bench.until(lambda: bench.get(Post, f"{order_id}-sheet"))
    first = await bench.thread(order_id)
    remove_channel(bench.server.service, bench.server.world.channels[first])

    async def another() -> bool:
        return (await bench.row(order_id)).thread_id not in (None, str(first))

    await bench.until(another)
    await bench.said(order_id, f"{order_id}-sheet.png")


async def test_nothing_is_posted_twice_where_the_bot_may_no_longer_read_what_it_said(bench: Bench) -> None:
    first = await bench.bot()
    order_id = await bench.order()
    await bench.checkpoint(order_id, 2)
    await bench.grid(order_id, 2)
    thread = await bench.thread(order_id)
    await first.kill()
    await bench.database.transact(_forget_post, f"{order_id}-2")
    await bench.director.direct("advance", seconds=3600)  # Discord has forgotten the nonce
    lora = str(bench.server.channel_id("lora"))
    await bench.director.direct("overwrite", channel_id=lora, deny=["READ_MESSAGE_HISTORY"])
    running = await bench.bot()
    await bench.until(lambda: order_id in running.story.announcer.blocked)
    await bench.director.direct("overwrite", channel_id=lora, allow=["READ_MESSAGE_HISTORY"])
    running.story.announcer._not_before.clear()
    await bench.until(lambda: bench.get(Post, f"{order_id}-2"))
    assert sum(bool(m.files) for m in await bench.director.messages(thread)) == 1


def _forget_post(session: Session, name: str) -> None:
    session.delete(session.get_one(Post, name))
