"""The checks notice a broken loopback: each test breaks one promise and sees a real client or a check stumble."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import discord
import pytest
from aiohttp import web

from bot.loopback import api, contract, interactions, permissions, routes_interactions, routes_messages, sessions

if TYPE_CHECKING:
    from conftest import Player, Stage

POST = "POST /channels/{channel_id}/messages"


async def test_without_via_a_rate_limit_is_taken_for_a_ban(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = api._response

    def without_via(status: int, body: Any, headers: dict[str, str]) -> web.Response:
        response = whole(status, body, headers)
        del response.headers["Via"]
        return response

    player = await stage.bot()
    monkeypatch.setattr(api, "_response", without_via)
    stage.server.service.rates.rules["POST", "/channels/{channel_id}/messages"] = (0, 0.1)
    with pytest.raises(discord.HTTPException) as banned:
        await player.get_channel(stage.lora).send("x")
    assert banned.value.status == 429


async def test_with_a_charset_in_the_media_type_nobody_can_log_in(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = api._response

    def with_charset(status: int, body: Any, headers: dict[str, str]) -> web.Response:
        response = whole(status, body, headers)
        response.headers["Content-Type"] = "application/json; charset=utf-8"
        return response

    monkeypatch.setattr(api, "_response", with_charset)
    async with discord.Client(intents=discord.Intents.none()) as client:
        with pytest.raises((TypeError, KeyError, AttributeError)):
            await client.login(stage.server.token)


async def test_without_the_memory_of_nonces_there_are_two_messages(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes_messages, "_with_nonce", lambda *_: None)
    player = await stage.bot()
    await stage.director.direct("fault", route=POST, status=500, when="after")
    await player.get_channel(stage.lora).send("once")
    assert len([m async for m in player.get_channel(stage.lora).history()]) == 2


async def test_a_callback_without_a_body_breaks_the_library(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def prepare(player: Player) -> None:
        @player.tree.command(description="x")
        async def hello(interaction: discord.Interaction) -> None:
            await interaction.response.send_message("x")

    whole = routes_interactions.callback
    route = next(r for r in api.ROUTES if r.serve is whole)
    object.__setattr__(route, "serve", lambda call: (whole(call), (204, None))[1])
    try:
        player = await stage.bot(prepare)
        await (await stage.member("Ada")).slash("hello", channel=stage.lora)
        await stage.eventually(lambda: player.failures)
    finally:
        object.__setattr__(route, "serve", whole)


async def test_without_numbers_on_events_a_resume_repeats_them(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def replay_all(self: sessions.Session, after: int) -> bool:
        assert self.connection is not None
        for sequence, event, data in self.sent:
            self.connection.send(sessions.DISPATCH, data, sequence=sequence, event=event)
        return after >= 0

    monkeypatch.setattr(sessions.Session, "replay", replay_all)
    player = await stage.bot()
    await (await stage.member("Ada")).post_message(stage.lora, "one")
    await player.hear("message")
    await stage.director.direct("abort")
    assert len(await player.hear("message", 2)) == 2


async def test_without_the_deadline_a_late_answer_passes(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interactions, "give_up", lambda *_: None)
    stage.server.service.rules.answer_within_s = 60

    def prepare(player: Player) -> None:
        @player.tree.command(description="x")
        async def slow(interaction: discord.Interaction) -> None:
            await asyncio.sleep(0.4)
            await interaction.response.send_message("x")

    await stage.bot(prepare)
    answer = await (await stage.member("Ada")).slash("slow", channel=stage.lora)
    assert answer.after_ms is not None
    assert answer.after_ms > 400


async def test_without_overwrites_a_revoked_permission_is_not_missed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(permissions, "_with_overwrites", lambda granted, *_: granted)
    player = await stage.bot()
    await stage.director.direct("overwrite", channel_id=str(stage.lora), deny=["SEND_MESSAGES"])
    await player.get_channel(stage.lora).send("passes")


async def test_without_the_check_of_unknown_keys_a_wrong_word_passes(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contract.Contract, "_strays", lambda *_: iter(()))
    status, _, _ = await stage.call("POST", f"/channels/{stage.lora}/messages", json={"content": "x", "colour": "red"})
    assert status == 200
