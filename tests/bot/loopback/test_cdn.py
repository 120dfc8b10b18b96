"""Attachment links: signed, expiring, in ranges, and badly behaved on demand."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import aiohttp
import discord
import pytest

if TYPE_CHECKING:
    from conftest import Stage

CONTENT = bytes(range(256)) * 200


async def posted(stage: Stage) -> discord.Message:
    player = await stage.bot()
    return await player.get_channel(stage.lora).send(file=discord.File(io.BytesIO(CONTENT), "a.bin"))


async def fetch(url: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers, allow_redirects=False) as response:
        return response.status, await response.read(), dict(response.headers)


async def test_a_link_expires_and_fetching_the_message_again_gives_a_fresh_one(stage: Stage) -> None:
    message = await posted(stage)
    old = message.attachments[0]
    assert await old.read() == CONTENT
    await stage.director.direct("advance", seconds=24 * 3600 + 1)
    with pytest.raises(discord.NotFound):
        await old.read()
    fresh = (await message.fetch()).attachments[0]
    assert fresh.url != old.url
    assert await fresh.read() == CONTENT


async def test_all_links_can_be_ended_at_once(stage: Stage) -> None:
    message = await posted(stage)
    await stage.director.direct("expire_links")
    with pytest.raises(discord.NotFound):
        await message.attachments[0].read()
    assert await (await message.fetch()).attachments[0].read() == CONTENT


@pytest.mark.parametrize("change", [("hm=", "hm=0"), ("ex=", "ex=f"), ("a.bin", "b.bin"), ("?", "?x=1&no")])
async def test_a_changed_link_is_no_link(stage: Stage, change: tuple[str, str]) -> None:
    url = (await posted(stage)).attachments[0].url
    assert (await fetch(url))[0] == 200
    assert (await fetch(url.replace(*change, 1)))[0] == 404


async def test_a_part_can_be_asked_for(stage: Stage) -> None:
    url = (await posted(stage)).attachments[0].url
    status, body, headers = await fetch(url, Range="bytes=10-19")
    assert (status, body) == (206, CONTENT[10:20])
    assert headers["Content-Range"] == f"bytes 10-19/{len(CONTENT)}"


async def test_the_files_of_a_deleted_message_are_gone(stage: Stage) -> None:
    message = await posted(stage)
    await message.delete()
    assert (await fetch(message.attachments[0].url))[0] == 404


async def test_a_download_can_be_cut_lied_about_refused_and_sent_elsewhere(stage: Stage) -> None:
    url = (await posted(stage)).attachments[0].url
    await stage.director.direct("fault", route="GET cdn", truncate_to=100)
    with pytest.raises(aiohttp.ClientPayloadError):
        await fetch(url)
    await stage.director.direct("fault", route="GET cdn", content_type="text/html")
    assert (await fetch(url))[2]["Content-Type"] == "text/html"
    await stage.director.direct("fault", route="GET cdn", status=403)
    assert (await fetch(url))[0] == 403
    await stage.director.direct("fault", route="GET cdn", redirect="http://192.0.2.1/")
    status, _, headers = await fetch(url)
    assert (status, headers["Location"]) == (302, "http://192.0.2.1/")
    await stage.director.direct("fault", route="GET cdn", truncate_to=0, bytes_promised=0)
    assert (await fetch(url))[1] == b""
    assert (await fetch(url))[1] == CONTENT
