"""Rate limits, scripted trouble, and permissions that go away in the middle of things."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import discord
import pytest

if TYPE_CHECKING:
    from conftest import Stage

POST = "POST /channels/{channel_id}/messages"


async def test_every_answer_carries_the_headers_of_its_bucket(stage: Stage) -> None:
    status, _, headers = await stage.call("GET", "/users/@me")
    assert status == 200
    assert headers["Via"] == "1.1 google"
    assert headers["Content-Type"] == "application/json"
    assert int(headers["X-RateLimit-Remaining"]) == int(headers["X-RateLimit-Limit"]) - 1
    assert float(headers["X-RateLimit-Reset-After"]) > 0
    _, _, other = await stage.call("GET", "/gateway/bot")
    assert other["X-RateLimit-Bucket"] != headers["X-RateLimit-Bucket"]


async def test_a_client_that_reads_the_headers_waits_and_never_goes_over(stage: Stage) -> None:
    player = await stage.bot()
    await stage.director.direct("rates", rules={POST: [2, 0.5]})
    started = time.monotonic()
    await asyncio.gather(*(player.get_channel(stage.lora).send(str(n)) for n in range(5)))
    assert time.monotonic() - started >= 0.9
    assert stage.server.service.rates.exceeded == 0


async def test_a_call_over_the_limit_is_429_with_the_time_to_wait(stage: Stage) -> None:
    await stage.director.direct("rates", rules={"GET /users/@me": [1, 5.0]})
    await stage.call("GET", "/users/@me")
    status, body, headers = await stage.call("GET", "/users/@me")
    assert status == 429
    assert body["retry_after"] == pytest.approx(5, abs=0.5)
    assert (body["global"], headers["Retry-After"], headers["X-RateLimit-Scope"]) == (False, "5", "user")
    assert stage.server.service.rates.exceeded == 1


async def test_a_429_with_via_is_waited_for_and_one_without_is_an_error(stage: Stage) -> None:
    player = await stage.bot()
    limited = {"message": "You are being rate limited.", "retry_after": 0.2, "global": False}
    await stage.director.direct("fault", route=POST, status=429, body=limited)
    started = time.monotonic()
    await player.get_channel(stage.lora).send("waits")
    assert time.monotonic() - started >= 0.2
    await stage.director.direct("fault", route=POST, status=429, body=limited, via=False)
    with pytest.raises(discord.HTTPException) as banned:
        await player.get_channel(stage.lora).send("banned")
    assert banned.value.status == 429


async def test_503_is_not_retried_by_the_library_and_html_is_survived(stage: Stage) -> None:
    player = await stage.bot()
    await stage.director.direct("fault", route=POST, status=503, body="<html>Cloudflare</html>")
    with pytest.raises(discord.DiscordServerError):
        await player.get_channel(stage.lora).send("x")
    assert [m async for m in player.get_channel(stage.lora).history()] == []


async def test_a_scripted_delay_comes_before_the_answer_and_skips_what_it_should(stage: Stage) -> None:
    player = await stage.bot()
    channel = player.get_channel(stage.lora)
    await stage.director.direct("fault", route=POST, delay_s=0.6, skip=1)
    for _ in range(3):
        await channel.send("x")
    taken_s = [c["seconds"] for c in await stage.director.transcript() if c["route"] == POST]
    assert [s >= 0.6 for s in taken_s] == [False, True, False]


@pytest.mark.parametrize(
    ("denied", "code"),
    [("VIEW_CHANNEL", 50001), ("SEND_MESSAGES", 50013), ("ATTACH_FILES", 50013), ("EMBED_LINKS", 50013)],
)
async def test_a_permission_taken_away_is_missed_at_once(stage: Stage, denied: str, code: int) -> None:
    player = await stage.bot()
    channel = player.get_channel(stage.lora)
    await channel.send("before")
    await stage.director.direct("overwrite", channel_id=str(stage.lora), deny=[denied])
    await player.hear("guild_channel_update")
    with pytest.raises(discord.Forbidden) as refused:
        await channel.send("after", embed=discord.Embed(title="x"), file=discord.File(__file__))
    assert refused.value.code == code
    await stage.director.direct("overwrite", channel_id=str(stage.lora))
    await channel.send("again")


async def test_threads_and_reactions_have_their_own_permissions(stage: Stage) -> None:
    player = await stage.bot()
    root = await player.get_channel(stage.lora).send("root")
    thread = await root.create_thread(name="t")
    inside = await thread.send("grid")
    denied = ["SEND_MESSAGES_IN_THREADS", "CREATE_PUBLIC_THREADS", "ADD_REACTIONS"]
    await stage.director.direct("overwrite", channel_id=str(stage.lora), deny=denied)
    other = await player.get_channel(stage.lora).send("other")
    for refused in (thread.send("x"), other.create_thread(name="u"), inside.add_reaction("👍")):
        with pytest.raises(discord.Forbidden) as error:
            await refused
        assert error.value.code == 50013


async def test_a_bot_that_was_kicked_can_reach_nothing_there(stage: Stage) -> None:
    player = await stage.bot()
    channel = player.get_channel(stage.lora)
    await stage.director.direct("kick", guild_id=str(channel.guild.id))
    await player.hear("guild_remove")
    with pytest.raises(discord.Forbidden) as refused:
        await channel.send("hello?")
    assert refused.value.code == 50001
    with pytest.raises(discord.NotFound) as gone:
        await player.fetch_guild(channel.guild.id)
    assert gone.value.code == 10004


async def test_a_bot_can_leave_by_itself(stage: Stage) -> None:
    player = await stage.bot()
    guild = player.guilds[0]
    await guild.leave()
    await player.hear("guild_remove")
    assert stage.server.world.bot_id not in stage.server.world.guilds[guild.id].members


async def test_a_member_who_left_is_unknown_there(stage: Stage) -> None:
    player = await stage.bot()
    guild = player.get_channel(stage.lora).guild
    ada = await stage.member("Ada")
    assert (await guild.fetch_member(ada.user_id)).display_name == "Ada"
    await ada.leave(guild.id)
    with pytest.raises(discord.NotFound) as gone:
        await guild.fetch_member(ada.user_id)
    assert gone.value.code == 10007


async def test_too_many_invalid_requests_end_in_a_ban_without_via(stage: Stage) -> None:
    await stage.director.direct("rule", invalid_limit=3)
    for _ in range(3):
        assert (await stage.call("GET", "/users/@me", headers={"Authorization": "Bot wrong"}))[0] == 401
    status, body, headers = await stage.call("GET", "/users/@me")
    assert (status, "1015" in body, "Via" in headers) == (429, True, False)
    assert (await stage.director.world())["invalid_requests"] == 3
    await stage.director.direct("advance", seconds=601)
    assert (await stage.call("GET", "/users/@me"))[0] == 200, "only the last ten minutes count"
