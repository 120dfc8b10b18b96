"""The gateway as discord.py meets it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import discord
import pytest

from bot.loopback.rules import Rules
from bot.loopback.sessions import FLUSHED, cut

if TYPE_CHECKING:
    from conftest import Stage


async def identify(socket: aiohttp.ClientWebSocketResponse, token: str, intents: int = 1) -> None:
    data = {"token": token, "intents": intents, "properties": {}}
    await socket.send_str(json.dumps({"op": 2, "d": data}))


async def test_a_client_logs_in_and_sees_its_servers_with_their_channels(stage: Stage) -> None:
    player = await stage.bot()
    guild = next(g for g in player.guilds if g.name == "Loopback")
    assert {c.name for c in guild.text_channels} == {"lora", "general"}
    assert guild.me.id == stage.server.world.bot_id
    assert guild.get_channel(stage.lora).permissions_for(guild.me).add_reactions
    assert {g.name for g in player.guilds} == {"Loopback", "Second Loop"}


@pytest.mark.parametrize("trouble", ["abort", "reconnect", "close", "invalidate"])
async def test_a_lost_connection_is_resumed_and_what_was_missed_is_replayed(stage: Stage, trouble: str) -> None:
    player = await stage.bot()
    order: dict[str, Any] = {"close": {"code": 4000}, "invalidate": {"resumable": True}}.get(trouble, {})
    await stage.director.direct(trouble, **order)
    ada = await stage.member("Ada")
    for word in ("one", "two", "three"):
        await ada.post_message(stage.lora, word)
    await player.hear("resumed")
    messages = await player.hear("message", 3)
    assert len({m.id for m in messages}) == 3
    assert stage.server.service.gateway.identifies == 1


async def test_an_invalid_session_means_a_new_one_and_lost_events(stage: Stage) -> None:
    player = await stage.bot()
    stage.server.service.gateway.sessions.clear()
    await stage.director.direct("invalidate", resumable=False)
    await (await stage.member("Ada")).post_message(stage.lora, "nobody hears this")
    await player.hear("ready", 2)
    await (await stage.member("Ada")).post_message(stage.lora, "heard")
    assert len(await player.hear("message")) == 1
    assert stage.server.service.gateway.identifies == 2


async def test_a_wrong_token_cannot_log_in(stage: Stage) -> None:
    client = discord.Client(intents=discord.Intents.none())
    async with client:
        with pytest.raises(discord.LoginFailure):
            await client.login("wrong")


async def test_a_privileged_intent_that_is_not_enabled_is_refused(stage: Stage) -> None:
    client = discord.Client(intents=discord.Intents(guilds=True, message_content=True))
    async with client:
        with pytest.raises(discord.PrivilegedIntentsRequired):
            await client.start(stage.server.token)


async def test_the_content_of_others_is_blank_without_the_content_intent(stage: Stage) -> None:
    player = await stage.bot()
    await (await stage.member("Ada")).post_message(stage.lora, "secret", files=[("a.png", b"x")])
    message = (await player.hear("message"))[0]
    assert message.content == ""
    assert message.attachments == []
    asked = await (await player.fetch_channel(stage.lora)).fetch_message(message.id)
    assert asked.author.display_name == "Ada"


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ('{"op": 2, "d": {"token": "wrong", "intents": 1}}', 4004),
        ('{"op": 8, "d": {}}', 4003),
        ('{"op": 99, "d": {}}', 4001),
        ("no json", 4002),
        (f'{{"op": 1, "d": "{"x" * 5000}"}}', 4002),
        ('{"op": 2, "d": {"token": "TOKEN", "intents": 1073741824}}', 4013),
        ('{"op": 2, "d": {"token": "TOKEN", "intents": 2}}', 4014),
    ],
)
async def test_each_wrong_payload_closes_with_its_code(stage: Stage, payload: str, code: int) -> None:
    url = stage.server.gateway_url + "?v=10&encoding=json"
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        assert (await socket.receive_json())["op"] == 10
        await socket.send_str(payload.replace("TOKEN", stage.server.token))
        await socket.receive(timeout=5)
        assert socket.close_code == code


async def test_identifying_twice_and_resuming_from_the_future_are_refused(stage: Stage) -> None:
    url = stage.server.gateway_url + "?v=10&encoding=json"
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(url) as socket:
            await socket.receive_json()
            await identify(socket, stage.server.token)
            ready = await socket.receive_json()
            await identify(socket, stage.server.token)
            while not socket.closed:
                await socket.receive(timeout=5)
            assert socket.close_code == 4005
        async with session.ws_connect(url) as socket:
            await socket.receive_json()
            ahead = {"token": stage.server.token, "session_id": ready["d"]["session_id"], "seq": 99}
            await socket.send_str(json.dumps({"op": 6, "d": ahead}))
            await socket.receive(timeout=5)
            assert socket.close_code == 4007


async def test_a_flood_of_payloads_is_closed_with_4008(stage: Stage) -> None:
    url = stage.server.gateway_url + "?v=10&encoding=json"
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        for _ in range(130):
            await socket.send_str('{"op": 1, "d": null}')
        while not socket.closed:
            await socket.receive(timeout=5)
        assert socket.close_code == 4008


async def test_an_unknown_gateway_version_is_a_violation(stage: Stage) -> None:
    stage.tolerated = True
    async with aiohttp.ClientSession() as session, session.ws_connect(stage.server.gateway_url + "?v=9") as socket:
        await socket.receive(timeout=5)
        assert socket.close_code == 4012
    assert stage.server.violations[0].where == "gateway"


@pytest.mark.parametrize(
    ("payload", "path"),
    [
        ({"op": 2, "d": {"token": "x", "intents": 1, "properties": {}, "colour": 1}}, "d.colour"),
        ({"op": 2, "d": {"token": "x", "intents": 1, "properties": {"os": "x", "$os": "x"}}}, "d.properties.$os"),
        ({"op": 6, "d": {"token": "x", "session_id": "y", "seq": 1, "shard": 0}}, "d.shard"),
        ({"op": 1, "d": None, "note": "hello"}, "note"),
    ],
)
async def test_a_key_that_discord_does_not_know_is_a_violation(
    stage: Stage, payload: dict[str, Any], path: str
) -> None:
    stage.tolerated = True
    url = stage.server.gateway_url + "?v=10&encoding=json"
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        await socket.receive_json()
        await socket.send_str(json.dumps(payload))
        async with asyncio.timeout(5):
            while not stage.server.violations:  # noqa: ASYNC110  # nothing announces it
                await asyncio.sleep(0.01)
    assert [v.path for v in stage.server.violations] == [path]


async def test_packing_that_the_server_does_not_speak_is_a_violation_and_no_plain_text(stage: Stage) -> None:
    stage.tolerated = True
    url = stage.server.gateway_url + "?v=10&encoding=json&compress=zstd-stream"
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        said = await socket.receive(timeout=5)
    assert said.type is aiohttp.WSMsgType.CLOSE
    assert [v.path for v in stage.server.violations] == ["compress"]


async def test_a_session_that_was_left_too_long_is_gone(stage: Stage) -> None:
    player = await stage.bot()
    await stage.director.direct("refuse_gateway", times=0)
    stage.server.service.rules.session_life_s = -1
    await stage.director.direct("abort")
    await player.hear("ready", 2)
    assert stage.server.service.gateway.identifies == 2


async def test_a_refused_first_handshake_needs_an_outer_supervisor(stage: Stage) -> None:
    await stage.director.direct("refuse_gateway", times=1)
    client = discord.Client(intents=discord.Intents(guilds=True))
    async with client:
        with pytest.raises(AttributeError, match="sequence"):
            await client.start(stage.server.token)


async def test_being_kicked_and_an_outage_are_told_apart(stage: Stage) -> None:
    player = await stage.bot()
    guild = next(g for g in player.guilds if g.name == "Second Loop")
    await stage.director.direct("outage", guild_id=str(guild.id), unavailable=True)
    await player.hear("guild_unavailable")
    await stage.director.direct("outage", guild_id=str(guild.id), unavailable=False)
    await player.hear("guild_available")
    await stage.director.direct("kick", guild_id=str(guild.id))
    await player.hear("guild_remove")
    await stage.director.direct("invite", guild_id=str(guild.id))
    await player.hear("guild_join")


async def test_an_event_can_come_twice_and_late(stage: Stage) -> None:
    player = await stage.bot()
    await stage.director.direct("rule", event_delay_s=0.2)
    sent = await player.get_channel(stage.lora).send("echo")
    assert [e for e, _ in player.heard if e == "message"] == []
    await stage.director.direct("redeliver", event="MESSAGE_CREATE")
    assert {m.id for m in await player.hear("message", 2)} == {sent.id}


@pytest.mark.parametrize("length", [4, 5, 9, 11, 100])
def test_a_message_that_is_cut_ends_with_a_frame_by_which_its_end_is_known(length: int) -> None:
    packed = (b"x" * length + FLUSHED)[-length:]
    for pieces in (1, 2, 3, 7):
        frames = cut(packed, pieces)
        assert b"".join(frames) == packed
        assert frames[-1].endswith(FLUSHED)
        assert len(frames) <= pieces
        assert all(frames)


class TestHeartbeats:
    """With an interval short enough to watch."""

    @pytest.fixture
    def rules(self) -> Rules:
        return Rules(heartbeat_ms=200, zlib_pieces=3)

    async def test_beats_come_in_time_and_on_request_and_cut_frames_are_joined(self, stage: Stage) -> None:
        player = await stage.bot()
        await stage.director.direct("beat")
        log = stage.server.service.record.gateway_log
        await stage.eventually(lambda: sum(e["op"] == 1 for e in log) >= 4)
        await stage.eventually(lambda: player.latency < 1)  # infinite until a first beat is answered

    async def test_a_beat_is_answered_after_a_round_trip_and_measured_against_itself(self, stage: Stage) -> None:
        """discord.py notes the time of sending in another thread: a faster answer is measured from the beat before."""
        stage.server.service.rules.heartbeat_ms = 1000
        player = await stage.bot()
        measured: set[float] = set()
        async with asyncio.timeout(15):
            while len(measured) < 3:  # from outside
                measured |= {player.latency} - {float("inf")}
                await asyncio.sleep(0.01)
        assert min(measured) >= stage.server.service.rules.ack_after_s * 0.9
        assert sorted(measured)[1] < 1, "not from the beat before; one of three may have met a busy machine"
