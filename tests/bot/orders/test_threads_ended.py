"""What a thread says of an order that failed or was cancelled."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import Session

from bot.cancelling import cancel_order
from storage import orders
from storage.domain.errors import Fault
from storage.domain.lifecycle import Stage
from storage.tables import now

Bench = Any


async def test_a_failure_says_whose_fault_it_was_mentions_only_its_owner_and_offers_retry(bench: Bench) -> None:
    await bench.bot()
    order_id = await bench.order(owner="Bruno", name="@everyone <@1> **x**")
    await bench.database.transact(_fail, bench.engine, order_id)
    failed = await bench.said(order_id, "could not be finished")
    assert "the machine, not you" in failed.content
    assert failed.button("Retry")["custom_id"] == f"retry:{order_id}"
    assert [int(u["id"]) for u in failed.raw["mentions"]] == [bench.server.user_id("Bruno")]
    assert failed.raw["mention_everyone"] is False


def _fail(session: Session, engine: Any, order_id: str) -> None:
    from storage import orders
    from storage.domain.errors import Fault

    orders.fail(session, engine, order_id, Fault.MACHINE, "the graphics card ran out of memory")


async def test_a_cancelled_order_says_so_once_and_mentions_nobody(bench: Bench) -> None:
    await bench.bot()
    order_id = await bench.order()
    await bench.said(order_id, "-status")
    await bench.database.transact(_cancel, bench.engine, order_id)
    said = await bench.said(order_id, "Cancelled:")
    assert said.raw["mentions"] == []
    await bench.stage(order_id, Stage.CANCELLED)
    await asyncio.sleep(0.2)
    assert sum("Cancelled:" in m.content for m in await bench.messages(order_id)) == 1


async def test_a_vote_that_ends_with_its_order_is_shown_closed_and_cannot_be_finished(bench: Bench) -> None:
    running = await bench.bot()
    order_id = await bench.order()
    await bench.trained(order_id)
    await bench.vote(running, order_id)
    assert (await bench.said(order_id, "Open until")).button("Finish the vote now")
    await bench.database.transact(_cancel, bench.engine, order_id)
    await bench.said(order_id, "Cancelled:")
    sheet = await bench.said(order_id, "The vote is closed")
    assert "Open until" not in sheet.content
    assert not sheet.raw.get("components")


@pytest.mark.parametrize("ending", ["cancelled", "failed"])
async def test_the_status_message_says_at_once_that_an_order_has_ended(bench: Bench, ending: str) -> None:
    await bench.bot(status_s=3600.0)
    order_id = await bench.order()
    await bench.progress(order_id, step=3, steps=10, seconds_left=360)
    await bench.said(order_id, "-status")
    if ending == "cancelled":
        await bench.database.transact(_cancel, bench.engine, order_id)
    else:
        await bench.database.transact(orders.fail, bench.engine, order_id, Fault.MACHINE, "the card is gone")
    await bench.said(order_id, {"cancelled": "Cancelled:", "failed": "could not be finished"}[ending])
    status = await bench.said(order_id, "-status")
    assert status.content.startswith(f"**Blue cat**: {ending}.")
    assert "left" not in status.content


def _cancel(session: Session, engine: Any, order_id: str) -> None:
    orders.ask_cancel(session, order_id, "1")
    orders.cancel(session, engine, order_id)


async def test_a_failed_order_that_nobody_tried_again_says_so_and_loses_its_button(bench: Bench) -> None:
    await bench.bot()
    order_id = await bench.order()
    await bench.database.transact(_fail, bench.engine, order_id)
    failed = await bench.said(order_id, "could not be finished. The cause")
    assert failed.button("Retry")
    await bench.database.transact(_long_ago, order_id)
    await bench.stage(order_id, Stage.EXPIRED)
    await bench.said(order_id, "is closed: it could not be finished")
    failed = await bench.said(order_id, "could not be finished. The cause")
    assert failed.buttons() == {}
    assert "Press Retry" not in failed.content


def _long_ago(session: Session, order_id: str) -> None:
    from storage.tables import Order

    session.get_one(Order, order_id).finished_at = now() - timedelta(days=8)


async def test_nobody_is_blamed_for_a_cancel_that_nobody_asked_for(bench: Bench) -> None:
    running = await bench.bot()
    order_id = await bench.order()
    await bench.said(order_id, "-status")
    await cancel_order(running.parts, order_id, member_id="", reason="its owner left the server", by="system")
    said = await bench.said(order_id, "I stopped")
    assert "moderator" not in said.content
    assert "its owner left the server" in said.content
