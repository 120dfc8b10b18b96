"""What an order's thread shows: each grid once, the status seldom, and nothing lost when Discord or the bot is away."""

from __future__ import annotations

import asyncio
import io
import random
from datetime import timedelta
from typing import Any

import pytest
from PIL import Image
from sqlmodel import Session

from bot import posting
from bot.shown import look_at
from storage.domain.lifecycle import Stage
from storage.tables import PlanRow, Post, now

Bench = Any


class Killed(BaseException):
    """Stands for SIGKILL at a gap: nothing catches it."""


async def test_a_grid_is_posted_once_with_its_mark_its_words_its_alt_text_and_a_seed(bench: Bench) -> None:
    await bench.bot()
    order_id = await bench.order()
    await bench.checkpoint(order_id, 2, likeness=0.42)
    grid = await bench.grid(order_id, 2)
    assert [f.filename for f in grid.files] == [f"{order_id}-2.png"]
    assert "Checkpoint 1 of 5" in grid.content
    assert "likeness 42\u00a0%" in grid.content.lower()
    assert "step 2" in grid.raw["files"][0]["description"]
    assert grid.reactions == {"👍": [bench.server.world.bot_id]}
    assert grid.button("Take this one")["custom_id"] == f"take:{order_id}:2"
    await asyncio.sleep(0.3)
    assert sum(bool(m.files) for m in await bench.messages(order_id)) == 1


async def test_a_kill_between_post_and_record_posts_no_grid_twice(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await bench.bot()
    order_id = await bench.order()
    await bench.said(order_id, "-status")

    def die(name: str) -> None:
        if name == "post-record":
            raise Killed

    monkeypatch.setattr(posting, "gap", die)
    await bench.checkpoint(order_id, 2)
    await bench.said(order_id, f"{order_id}-2.png")
    assert await bench.get(Post, f"{order_id}-2") is None, "the kill came before the row"
    await first.kill()
    monkeypatch.undo()
    bench.aim()
    await bench.director.direct("advance", seconds=3600)  # long after the nonce was forgotten
    await bench.bot()
    await bench.grid(order_id, 2)
    await bench.until(lambda: bench.get(Post, f"{order_id}-2"))
    assert sum(bool(m.files) for m in await bench.messages(order_id)) == 1


async def test_the_status_message_is_edited_on_change_only_and_not_more_often_than_set(bench: Bench) -> None:
    await bench.bot(status_s=0.5)
    order_id = await bench.order()
    for step in range(1, 8):
        await bench.progress(order_id, step=step, steps=10, loss_ratio=0.8, seconds_left=40)
        await asyncio.sleep(0.1)
    await bench.said(order_id, "step 7 of 10")
    edits = [t for t in await bench.director.transcript() if t["method"] == "PATCH" and "/messages/" in t["path"]]
    assert 1 <= len(edits) <= 3
    await asyncio.sleep(0.8)
    again = [t for t in await bench.director.transcript() if t["method"] == "PATCH" and "/messages/" in t["path"]]
    assert len(again) == len(edits), "nothing changed, so nothing is edited"


async def test_two_minutes_of_silence_are_said(bench: Bench) -> None:
    await bench.bot()
    order_id = await bench.order()
    await bench.progress(order_id, step=3, steps=10, updated_at=now() - timedelta(seconds=130))
    await bench.said(order_id, "heard nothing from the machine")


async def test_errors_of_the_service_lose_no_post_and_double_none(bench: Bench) -> None:
    await bench.bot()
    order_id = await bench.order()
    thread = await bench.thread(order_id)
    await bench.said(order_id, "-status")
    route = "POST /channels/{channel_id}/messages"
    await bench.director.direct("fault", route=route, status=503, times=2)
    await bench.director.direct("fault", route=route, drop=True, when="after", times=1)
    await bench.checkpoint(order_id, 2)
    await bench.checkpoint(order_id, 4)
    await bench.grid(order_id, 4)
    await bench.grid(order_id, 2)
    names = [f.filename for m in await bench.director.messages(thread) for f in m.files]
    assert sorted(names) == [f"{order_id}-2.png", f"{order_id}-4.png"]


async def test_an_old_status_message_is_replaced_by_a_new_one(bench: Bench) -> None:
    await bench.bot()
    order_id = await bench.order()
    await bench.progress(order_id, step=1, steps=10)
    old = await bench.said(order_id, "step 1 of 10")
    await bench.until(lambda: bench.get(Post, f"{order_id}-status"))
    await bench.database.transact(_age, f"{order_id}-status")
    await bench.progress(order_id, step=2, steps=10)
    new = await bench.said(order_id, "step 2 of 10")
    assert new.id != old.id
    assert old.id not in [m.id for m in await bench.messages(order_id)]


def _age(session: Session, name: str) -> None:
    session.get_one(Post, name).posted_at = now() - timedelta(hours=1)


async def test_a_look_from_before_the_post_was_written_down_posts_nothing_again(bench: Bench) -> None:
    running = await bench.bot()
    order_id = await bench.order()
    before = await bench.database.transact(look_at, order_id)
    await bench.checkpoint(order_id, 2)
    await bench.grid(order_id, 2)
    stale = await bench.database.transact(look_at, order_id)
    stale.posts = before.posts
    await bench.director.direct("advance", seconds=3600)  # Discord has forgotten the nonce
    await running.story.announcer.threads.show(stale)
    assert sum(bool(m.files) for m in await bench.messages(order_id)) == 1
    assert sum("-status" in m.content for m in await bench.messages(order_id)) == 1


async def test_a_grid_too_large_for_an_upload_is_posted_smaller(bench: Bench) -> None:
    await bench.bot()
    order_id = await bench.order(max_file_bytes=400_000)
    noise = io.BytesIO()
    Image.frombytes("RGB", (700, 300), random.Random(1).randbytes(630_000)).save(noise, "PNG")
    assert len(noise.getvalue()) > 400_000
    await bench.checkpoint(order_id, 4, grid=noise.getvalue())
    grid = await bench.said(order_id, f"{order_id}-4.jpg")
    assert grid.files[0].size < 400_000


async def test_a_grid_whose_picture_is_gone_holds_up_no_other_message_and_can_be_voted_for(bench: Bench) -> None:
    running = await bench.bot()
    order_id = await bench.order()
    await bench.said(order_id, "-status")
    await bench.artifacts.delete(f"orders/{order_id}/checkpoints/2/grid.png")
    await running.kill()
    await bench.trained(order_id)
    await bench.artifacts.delete(f"orders/{order_id}/checkpoints/2/grid.png")
    running = await bench.bot()
    bare = await bench.said(order_id, f"-# {order_id}-2")
    assert "cannot be shown" in bare.content
    assert bare.button("Take this one")
    await bench.vote(running, order_id)
    await bench.said(order_id, f"{order_id}-sheet.png")


async def test_where_reactions_are_not_allowed_grids_are_posted_and_the_order_is_delivered(bench: Bench) -> None:
    running = await bench.bot()
    order_id = await bench.order()
    await bench.said(order_id, "-status")
    await bench.director.direct("overwrite", channel_id=str(bench.server.channel_id("lora")), deny=["ADD_REACTIONS"])
    await bench.trained(order_id)
    await bench.said(order_id, f"{order_id}-10.png")
    await bench.vote(running, order_id)
    await bench.said(order_id, f"{order_id}-sheet.png")
    await bench.due(order_id)
    await bench.stage(order_id, Stage.SCALING)
    await bench.swept(running, order_id)
    await bench.stage(order_id, Stage.DELIVERED)
    await bench.said(order_id, "is ready")
    assert order_id not in running.story.announcer.blocked


async def test_an_old_status_message_that_says_the_same_is_left_alone(bench: Bench) -> None:
    await bench.bot()
    order_id = await bench.order()
    old = await bench.said(order_id, "-status")
    await bench.until(lambda: bench.get(Post, f"{order_id}-status"))
    await bench.database.transact(_age, f"{order_id}-status")
    await bench.checkpoint(order_id, 2)
    await bench.grid(order_id, 2)
    assert old.id in [m.id for m in await bench.messages(order_id)]


async def test_a_plan_that_cannot_be_read_hides_no_other_order(bench: Bench) -> None:
    broken, whole = await bench.order(), await bench.order(owner="Bruno")
    await bench.database.transact(_break_plan, broken)
    await bench.bot()
    await bench.checkpoint(whole, 2)
    await bench.grid(whole, 2)
    await bench.said(broken, "-status")


def _break_plan(session: Session, order_id: str) -> None:
    session.get_one(PlanRow, order_id).plan_json = '{"recipe": "of another version"}'
