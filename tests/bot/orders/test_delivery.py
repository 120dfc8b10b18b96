"""Handing over: attached, by a link for one person, or compact; taken before the end; and what the web pages refuse."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bot.cancelling import cancel_order
from bot.links import FileLink, Links, link_key
from bot.removal import mark_removed
from storage import orders
from storage.domain.lifecycle import Stage
from storage.tables import Delivery, Member, Order
from storage.view import view_of

Bench = Any
BIG = b"L" * 300_000


async def chosen(bench: Bench, running: Any, owner: str = "Ada", **fields: Any) -> str:
    """An order whose ballot is closed."""
    order_id: str = await bench.order(owner=owner, **fields)
    await bench.trained(order_id)
    await bench.vote(running, order_id)
    await bench.due(order_id)
    await bench.stage(order_id, Stage.SCALING)
    return order_id


def free_port() -> int:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture
async def online(bench: Bench) -> tuple[Any, str]:
    """A bot that members can download from."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    running = await bench.bot(public_url=address, web_port=port)

    async def listens() -> bool:
        try:
            return (await fetch(f"{address}/health"))[0] == 200
        except aiohttp.ClientError:
            return False

    await bench.until(listens)
    return running, address


async def fetch(url: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers, allow_redirects=False) as response:
        return response.status, await response.read(), dict(response.headers)


async def test_a_file_that_fits_is_attached_with_its_notes_and_only_the_owner_is_mentioned(bench: Bench) -> None:
    running = await bench.bot()
    order_id = await chosen(bench, running, name="Blue @everyone cat")
    await bench.swept(running, order_id)
    card = await bench.said(order_id, "is ready")
    names = [f.filename for f in card.files]
    assert [n.rsplit(order_id)[-1] for n in names] == [".safetensors", ".json", ".png", "-scales.png"]
    assert "Recommended scale 0.90; good from 0.70 to 1.10" in card.content
    for words in ("ComfyUI", "A1111", "diffusers", "Licence", "Try:", "likeness"):
        assert words.lower() in card.content.lower()
    assert [int(u["id"]) for u in card.raw["mentions"]] == [bench.server.user_id("Ada")]
    assert card.raw["mention_everyone"] is False
    order = await bench.stage(order_id, Stage.DELIVERED)
    assert order.delivery_way == "attach"
    row = await bench.get(Delivery, f"{order_id}:final:8")
    assert row.delivered_at is not None
    lora = await (await bench.member("Ada")).download(card.files[0])
    assert lora == b"L" * 5000


async def test_who_does_not_want_to_be_mentioned_is_not(bench: Bench) -> None:
    running = await bench.bot()
    order_id = await chosen(bench, running)
    await bench.database.transact(_no_mention, str(bench.guild), str(bench.server.user_id("Ada")))
    await bench.swept(running, order_id)
    card = await bench.said(order_id, "is ready")
    assert card.raw["mentions"] == []


def _no_mention(session: Any, community_id: str, member_id: str) -> None:
    session.get_one(Member, (community_id, member_id)).mention = False


async def test_a_file_too_large_is_downloaded_by_its_owner_alone(bench: Bench, online: tuple[Any, str]) -> None:
    running, address = online
    order_id = await chosen(bench, running, max_file_bytes=200_000)
    await bench.swept(running, order_id, lora=BIG, compact=True)
    card = await bench.said(order_id, "is ready")
    assert not any(f.filename.endswith(".safetensors") for f in card.files)
    stranger, owner = await bench.member("Bruno"), await bench.member("Ada")
    no = await stranger.reply_of(await stranger.click(card, "Download"))
    await bench.until(lambda: _says(stranger, no, "Only the person who made this order"))
    yes = await owner.reply_of(await owner.click(card, "Download"))
    assert yes.ephemeral
    await bench.until(lambda: _says(owner, yes, "Here is your link"))
    link = next(p["url"] for p in (await owner.message(yes.channel_id, yes.id)).parts() if p.get("url"))
    assert link.startswith(address)
    status, content, headers = await fetch(link)
    assert (status, content) == (200, BIG)
    assert headers["Content-Disposition"].startswith("attachment; filename=")
    assert (await fetch(link, Range="bytes=10-19"))[:2] == (206, BIG[10:20])


async def _says(member: Any, message: Any, words: str) -> bool:
    return words in (await member.message(message.channel_id, message.id)).text()


async def test_without_an_address_a_file_too_large_comes_as_its_compact_version_with_its_loss(bench: Bench) -> None:
    running = await bench.bot()
    order_id = await chosen(bench, running, max_file_bytes=200_000)
    await bench.artifacts.put(f"orders/{order_id}/delivery/compact.json", json.dumps({"loss": 0.042}).encode())
    await bench.swept(running, order_id, lora=BIG, compact=True)
    card = await bench.said(order_id, "is ready")
    lora, notes = (
        next(f.filename for f in card.files if f.filename.endswith(end)) for end in (".safetensors", ".json")
    )
    stem = lora.removesuffix(".safetensors")
    assert notes == f"{stem}.json", "A1111 finds the notes by the file's name"
    assert f'load_lora_weights("{lora}"' in card.content
    assert "4.2 %" in card.content


async def test_an_upload_that_is_refused_as_too_large_is_handed_over_another_way(
    bench: Bench, online: tuple[Any, str]
) -> None:
    running, _ = online
    order_id = await chosen(bench, running, max_file_bytes=600_000)
    await bench.said(order_id, "the vote is closed")
    await bench.director.direct(
        "fault",
        route="POST /channels/{channel_id}/messages",
        status=413,
        body={"message": "Request entity too large", "code": 40005},
        times=1,
    )
    await bench.swept(running, order_id, lora=BIG)
    card = await bench.said(order_id, "is ready")
    assert card.button("Download")
    await bench.stage(order_id, Stage.DELIVERED)


async def test_the_owner_takes_a_checkpoint_at_any_time_and_nobody_else_does(bench: Bench) -> None:
    await bench.bot()
    order_id = await bench.order()
    await bench.checkpoint(order_id, 2)
    grid = await bench.grid(order_id, 2)
    stranger, owner = await bench.member("Bruno"), await bench.member("Ada")
    no = await stranger.reply_of(await stranger.click(grid, "Take this one"))
    await bench.until(lambda: _says(stranger, no, "Only the person who made this order"))
    yes = await owner.reply_of(await owner.click(grid, "Take this one"))
    await bench.until(lambda: _says(owner, yes, "as it was at step 2"))
    got = await owner.message(yes.channel_id, yes.id)
    assert await owner.download(got.files[0]) == b"L" * 5000
    assert got.files[0].filename == f"blue-cat-{order_id}-step2.safetensors"
    assert "goes on as before" in got.content
    assert (await bench.row(order_id)).stage == "training"
    await bench.until(lambda: bench.get(Delivery, f"{order_id}:taken:2"))


async def test_links_run_out_and_cannot_be_changed(bench: Bench, online: tuple[Any, str]) -> None:
    _, address = online
    order_id = await bench.order()
    await bench.checkpoint(order_id, 2)
    await bench.checkpoint(order_id, 4)
    links = Links(key=await bench.database.transact(link_key), address=address)
    ada, bruno = str(bench.server.user_id("Ada")), str(bench.server.user_id("Bruno"))
    good = links.file(order_id, 2, "lora", ada, 60)
    status, whole, headers = await fetch(good)
    assert (status, headers["Accept-Ranges"]) == (200, "bytes")
    status, rest, headers = await fetch(good, Range=f"bytes={len(whole) // 2}-")
    assert (status, rest) == (206, whole[len(whole) // 2 :]), "a download that broke off goes on where it was"
    assert headers["Content-Range"].startswith(f"bytes {len(whole) // 2}-")
    assert (await fetch(links.file(order_id, 2, "lora", ada, -1)))[0] == 403, "it has run out"
    assert (await fetch(good.replace(f"/{order_id}/2/", f"/{order_id}/4/")))[0] == 403
    assert (await fetch(good.replace(f"m={ada}", f"m={bruno}")))[0] == 403
    assert (await fetch(links.file(order_id, 2, "lora", bruno, 60)))[0] == 404, "signed, but not this order's owner"
    assert (await fetch(links.file(order_id, 2, "state", ada, 60)))[0] == 404
    other = Links(key=b"x" * 32, address=address)
    assert (await fetch(other.file(order_id, 2, "lora", ada, 60)))[0] == 403


async def test_the_page_of_an_order_needs_its_token_and_everything_else_is_refused(
    bench: Bench, online: tuple[Any, str]
) -> None:
    running, address = online
    order_id = await chosen(bench, running, name="<b>Blue</b> cat")
    await bench.swept(running, order_id)
    card = await bench.said(order_id, "is ready")
    page = next(p["url"] for p in card.parts() if p.get("url"))
    status, text, headers = await fetch(page)
    assert status == 200
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    html = text.decode()
    assert "&lt;b&gt;Blue&lt;/b&gt; cat" in html
    assert "<b>Blue" not in html
    assert html.count("<figure") == 6
    assert "data:image/png" in html
    assert "Recommended scale 0.90" in html
    assert (await fetch(page[:-1] + ("0" if page[-1] != "0" else "1")))[0] == 404
    for path in ("/", "/files", f"/orders/{order_id}", "/files/../../etc/passwd", "/orders/x/../../data"):
        assert (await fetch(address + path))[0] == 404
    assert (await fetch(f"{address}/health"))[:2] == (200, b"ok\n")
    assert (await fetch(f"{address}/ready"))[0] == 200
    status, numbers, headers = await fetch(f"{address}/metrics")
    assert (status, headers["Content-Type"].partition(";")[0]) == (200, "text/plain")
    counted = {s.name: s.value for f in text_string_to_metric_families(numbers.decode()) for s in f.samples}
    assert counted["lorasmith_bot_event_loop_lag_seconds_count"] >= 1
    assert {"lorasmith_gpus_busy", "lorasmith_votes", "lorasmith_discord_rate_limits_total"} <= set(counted)
    assert b'lorasmith_orders{stage="deliver' in numbers
    assert order_id.encode() not in numbers
    assert str(bench.server.user_id("Ada")).encode() not in numbers


async def test_a_kill_after_the_card_delivers_once(bench: Bench) -> None:
    running = await bench.bot()
    order_id = await chosen(bench, running)
    await bench.swept(running, order_id)
    await bench.said(order_id, "is ready")
    await bench.stage(order_id, Stage.DELIVERED)
    assert "delivered" in (await bench.said(order_id, "-status")).content
    await running.kill()
    await bench.database.transact(_undeliver, order_id)
    await bench.bot()
    await bench.stage(order_id, Stage.DELIVERED)
    assert sum("is ready" in m.content for m in await bench.messages(order_id)) == 1


def _undeliver(session: Any, order_id: str) -> None:
    session.get_one(Order, order_id).stage = "delivering"


async def test_an_order_that_failed_after_its_vote_is_retried_under_the_same_vote(bench: Bench) -> None:
    running = await bench.bot()
    order_id = await chosen(bench, running)
    from storage.domain.errors import Fault

    await bench.database.transact(orders.fail, bench.engine, order_id, Fault.MACHINE, "the card is gone")
    await bench.database.transact(orders.retry, bench.engine, order_id)
    await bench.move(None, order_id, Stage.TRAINING)
    await bench.vote(running, order_id)
    again = await bench.stage(order_id, Stage.SCALING)
    assert again.chosen_step == 8


async def test_a_checkpoint_of_a_cancelled_order_is_not_said_to_go_on(bench: Bench) -> None:
    running = await bench.bot()
    order_id = await bench.order()
    await bench.checkpoint(order_id, 2)
    grid, owner = await bench.grid(order_id, 2), await bench.member("Ada")
    await cancel_order(running.parts, order_id, member_id="", by="system")
    reply = await owner.reply_of(await owner.click(grid, "Take this one"))
    await bench.until(lambda: _says(owner, reply, "as it was at step 2"))
    assert "goes on" not in (await owner.message(reply.channel_id, reply.id)).content


def test_a_signature_covers_every_part_of_a_link() -> None:
    links = Links(key=b"k" * 32, address="http://x")
    link = FileLink(order_id="a", step=1, role="lora", member_id="5", expires=int(time.time()) + 60)
    signature = links._sign(link.text())
    assert links.good_file(link, signature)
    for change in ({"order_id": "b"}, {"step": 2}, {"role": "x"}, {"member_id": "6"}, {"expires": link.expires + 1}):
        from dataclasses import replace

        assert not links.good_file(replace(link, **change), signature)
    assert not links.good_file(link, "")


async def test_nothing_of_a_removed_order_is_handed_over_or_shown(bench: Bench) -> None:
    running = await bench.bot()
    order_id = await bench.order()
    await bench.checkpoint(order_id, 2)
    grid = await bench.grid(order_id, 2)
    await bench.database.transact(mark_removed, order_id, "moderator:1", "spam")
    await bench.said(order_id, "A moderator removed")
    ada = await bench.member("Ada")
    answer = await ada.click(grid, "Take this one")

    async def refused() -> bool:
        return "do not know that order" in (await ada.reply_of(answer)).text()

    await bench.until(refused)
    with pytest.raises(LookupError):
        await view_of(bench.database, bench.artifacts, order_id)
    await bench.checkpoint(order_id, 4)
    await asyncio.sleep(0.4)
    assert f"{order_id}-4.png" not in [f.filename for m in await bench.messages(order_id) for f in m.files]
    assert running.story is not None


async def test_a_checkpoint_whose_file_is_gone_is_not_said_to_be_taken(bench: Bench) -> None:
    await bench.bot()
    order_id = await bench.order()
    await bench.checkpoint(order_id, 2)
    grid = await bench.grid(order_id, 2)
    await bench.artifacts.delete(f"orders/{order_id}/checkpoints/2/lora.safetensors")
    ada = await bench.member("Ada")
    answer = await ada.click(grid, "Take this one")

    async def refused() -> bool:
        return "no longer kept" in (await ada.reply_of(answer)).text()

    await bench.until(refused)
    assert await bench.get(Delivery, f"{order_id}:taken:2") is None


async def test_a_checkpoint_that_cannot_be_handed_over_is_not_offered(bench: Bench) -> None:
    await bench.bot()
    order_id = await bench.order(max_file_bytes=70_000)
    await bench.checkpoint(order_id, 2)
    assert (await bench.said(order_id, f"{order_id}-2")).buttons() == {}
