"""Messages: posting, files, nonces, edits, history."""

from __future__ import annotations

import asyncio
import io
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import discord
import pytest

if TYPE_CHECKING:
    from conftest import Stage

POST = "POST /channels/{channel_id}/messages"
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x40\x00\x00\x00\x20" + b"\x00" * 20


def file(name: str, content: bytes = PNG, **options: Any) -> discord.File:
    return discord.File(io.BytesIO(content), name, **options)


async def test_files_arrive_with_their_alt_text_and_size_and_can_be_read_back(stage: Stage) -> None:
    player = await stage.bot()
    files = [file("grid.png", description="four dogs"), file("lora.safetensors", b"weights")]
    sent = await player.get_channel(stage.lora).send("here", files=files)
    assert [(a.filename, a.description, a.width, a.height) for a in sent.attachments] == [
        ("grid.png", "four dogs", 64, 32),
        ("lora.safetensors", None, None, None),
    ]
    assert await sent.attachments[1].read() == b"weights"
    seen = await (await stage.member("Ada")).message(stage.lora, sent.id)
    assert await (await stage.member("Ada")).download(seen.files[0]) == PNG


async def test_files_shown_by_an_embed_or_a_component_are_not_listed_as_attachments(stage: Stage) -> None:
    player = await stage.bot()
    channel = player.get_channel(stage.lora)
    embed = discord.Embed(title="grid").set_image(url="attachment://grid.png")
    sent = await channel.send(embed=embed, file=file("grid.png"))
    assert sent.attachments == []
    assert "/grid.png?ex=" in sent.embeds[0].image.url
    view = discord.ui.LayoutView(timeout=None)
    view.add_item(discord.ui.TextDisplay("# Step 100"))
    view.add_item(discord.ui.MediaGallery(discord.MediaGalleryItem("attachment://a.png", description="alt")))
    view.add_item(discord.ui.Container(discord.ui.File("attachment://b.txt"), accent_colour=0xFF0000))
    sent = await channel.send(view=view, files=[file("a.png"), file("b.txt", b"b")])
    assert sent.attachments == []
    assert sent.components[1].items[0].media.url.startswith(stage.server.url)
    seen = await (await stage.member("Ada")).message(stage.lora, sent.id)
    assert "# Step 100" in seen.text()
    assert [f.filename for f in seen.files] == ["a.png", "b.txt"]


async def test_a_file_over_the_servers_limit_is_40005_until_the_server_is_boosted(stage: Stage) -> None:
    player = await stage.bot()
    channel = player.get_channel(stage.lora)
    big = bytes(10 * 1024 * 1024 + 1)
    with pytest.raises(discord.HTTPException) as refused:
        await channel.send(file=file("big.bin", big))
    assert (refused.value.status, refused.value.code) == (413, 40005)
    await stage.director.direct("server", guild_id=str(channel.guild.id), premium_tier=2)
    assert (await channel.send(file=file("big.bin", big))).attachments[0].size == len(big)


async def test_a_repeated_nonce_answers_with_the_first_message_until_it_is_forgotten(stage: Stage) -> None:
    player = await stage.bot()
    channel = player.get_channel(stage.lora)
    first = await channel.send("once", nonce="order-1-grid")
    second = await channel.send("twice", nonce="order-1-grid")
    assert (second.id, second.content) == (first.id, "once")
    await stage.director.direct("advance", seconds=301)
    assert (await channel.send("thrice", nonce="order-1-grid")).id != first.id
    assert len(await player.hear("message", 2)) == 2


async def test_a_500_after_the_deed_leaves_one_message(stage: Stage) -> None:
    player = await stage.bot()
    await stage.director.direct("fault", route=POST, status=500, when="after")
    await player.get_channel(stage.lora).send("once")
    assert len([m async for m in player.get_channel(stage.lora).history()]) == 1


@pytest.mark.parametrize(("when", "count"), [("after", 1), ("before", 0)])
async def test_a_connection_lost_around_the_deed_is_seen_by_reading_back(stage: Stage, when: str, count: int) -> None:
    player = await stage.bot()
    channel = player.get_channel(stage.lora)
    await stage.director.direct("fault", route=POST, drop=True, when=when)
    with pytest.raises((aiohttp.ClientError, OSError)):
        await channel.send("perhaps", nonce="n1")
    assert len([m async for m in channel.history()]) == count
    await channel.send("perhaps", nonce="n1")
    assert len([m async for m in channel.history()]) == 1


async def test_an_edit_keeps_listed_files_adds_new_ones_and_drops_the_rest(stage: Stage) -> None:
    player = await stage.bot()
    sent = await player.get_channel(stage.lora).send("v1", files=[file("a.png"), file("b.png")])
    edited = await sent.edit(content="v2", attachments=[sent.attachments[1], file("c.png")])
    assert [a.filename for a in edited.attachments] == ["b.png", "c.png"]
    assert edited.edited_at is not None
    ada = await stage.member("Ada")
    changed = await ada.wait_message(lambda m: m.content == "v2", channel=stage.lora)
    assert changed.edited


async def test_old_messages_take_only_so_many_edits(stage: Stage) -> None:
    player = await stage.bot()
    sent = await player.get_channel(stage.lora).send("old")
    await stage.director.direct("advance", seconds=3700)
    await stage.director.direct("rule", old_edits=2)
    await sent.edit(content="1")
    await sent.edit(content="2")
    status, body, _ = await stage.call("PATCH", f"/channels/{stage.lora}/messages/{sent.id}", json={"content": "3"})
    assert (status, body["code"]) == (429, 30046)


async def test_only_own_messages_can_be_edited_and_others_deleted_with_the_permission(stage: Stage) -> None:
    player = await stage.bot()
    post = await (await stage.member("Ada")).post_message(stage.lora, "mine")
    message = await player.get_channel(stage.lora).fetch_message(post.id)
    with pytest.raises(discord.Forbidden) as refused:
        await message.edit(content="yours")
    assert refused.value.code == 50005
    await stage.director.direct("overwrite", channel_id=str(stage.lora), deny=["MANAGE_MESSAGES"])
    with pytest.raises(discord.Forbidden) as refused:
        await message.delete()
    assert refused.value.code == 50013
    await stage.director.direct("overwrite", channel_id=str(stage.lora))
    await message.delete()
    await player.hear("raw_message_delete")
    with pytest.raises(discord.NotFound) as gone:
        await message.fetch()
    assert gone.value.code == 10008


async def test_history_comes_by_pages_in_both_directions(stage: Stage) -> None:
    player = await stage.bot()
    channel = player.get_channel(stage.lora)
    ada = await stage.member("Ada")
    for number in range(7):
        await ada.post_message(stage.lora, f"m{number}")
    ids = [m.id async for m in channel.history(limit=None, oldest_first=True)]
    assert len(ids) == 7
    assert [m.id async for m in channel.history(limit=3)] == ids[:-4:-1]
    assert [m.id async for m in channel.history(limit=2, before=discord.Object(ids[3]))] == [ids[2], ids[1]]
    assert [m.id async for m in channel.history(limit=2, after=discord.Object(ids[3]))] == [ids[4], ids[5]]
    assert ids[3] in [m.id async for m in channel.history(limit=3, around=discord.Object(ids[3]))]


async def test_mentions_notify_only_whom_the_request_allows(stage: Stage) -> None:
    player = await stage.bot()
    channel, ada = player.get_channel(stage.lora), stage.server.user_id("Ada")
    text = f"<@{ada}> @everyone"
    quiet = await channel.send(text)
    loud = await channel.send(text, allowed_mentions=discord.AllowedMentions(users=[discord.Object(ada)]))
    assert (quiet.mentions, quiet.mention_everyone) == ([], False)
    assert ([m.id for m in loud.mentions], loud.mention_everyone) == ([ada], False)


async def test_a_direct_message_arrives_unless_the_member_closed_them(stage: Stage) -> None:
    player = await stage.bot()
    ada = await stage.member("Ada")
    user = await player.fetch_user(ada.user_id)
    await user.send("hello")
    await user.send("again")
    private = await ada.wait_message(lambda m: m.content == "again")
    assert [m.content for m in await ada.visible_messages(private.channel_id)] == ["hello", "again"]
    await stage.director.direct("member", user_id=str(ada.user_id), dm_open=False)
    with pytest.raises(discord.Forbidden) as refused:
        await user.send("and again")
    assert refused.value.code == 50007


async def test_a_thread_grows_from_a_message_once(stage: Stage) -> None:
    player = await stage.bot()
    root = await player.get_channel(stage.lora).send("order 1")
    thread = await root.create_thread(name="Ada's dog")
    assert thread.id == root.id
    await thread.send("progress")
    await player.hear("thread_create")
    with pytest.raises(discord.HTTPException) as twice:
        await root.create_thread(name="again")
    assert twice.value.code == 160004
    ada = await stage.member("Ada")
    assert (await ada.message(stage.lora, root.id)).thread_id == thread.id
    assert (await ada.wait_message(lambda m: m.content == "progress")).channel_id == thread.id
    assert [t.id for t in await thread.guild.active_threads()] == [thread.id]


async def test_an_archived_thread_wakes_by_a_message_and_takes_no_reaction(stage: Stage) -> None:
    player = await stage.bot()
    root = await player.get_channel(stage.lora).send("order 2")
    thread = await root.create_thread(name="sleepy")
    inside = await thread.send("grid")
    await thread.edit(archived=True)
    with pytest.raises(discord.HTTPException) as refused:
        await inside.add_reaction("👍")
    assert refused.value.code == 50083
    await thread.send("awake")
    assert (await player.fetch_channel(thread.id)).archived is False
    await inside.add_reaction("👍")


async def test_typing_is_told_and_an_unknown_place_is_unknown(stage: Stage) -> None:
    player = await stage.bot()
    await player.get_channel(stage.lora).typing()
    ada = await stage.member("Ada")
    assert (await ada.wait_event(lambda e: e["type"] == "TYPING"))["channel_id"] == str(stage.lora)
    with pytest.raises(discord.NotFound) as unknown:
        await player.fetch_channel(1)
    assert unknown.value.code == 10003


async def test_the_transcript_holds_every_call_and_no_token(stage: Stage) -> None:
    player = await stage.bot()
    await player.get_channel(stage.lora).send("words", file=file("a.png"))
    calls = await stage.director.transcript()
    sent = next(c for c in calls if c["route"] == POST)
    assert sent["body"]["content"] == "words"
    assert sent["files"] == [f"a.png ({len(PNG)} bytes)"]
    assert stage.server.token not in json.dumps(calls)
    await asyncio.sleep(0)
