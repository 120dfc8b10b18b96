"""The bot's half of `lorasmith doctor`, against a loopback Discord over real HTTP: each usual mistake, and how it is said."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import discord
from aiohttp import web

from bot.inspection import _application, _clock, _starts, inspected, token_shape
from bot.invitation import invite_link, missing, needed
from bot.questions import Reply
from storage.domain.inspection import Level, Remark
from tests.bot.living import House, house


def said(remarks: Sequence[Remark], about: str) -> list[tuple[str, str]]:
    return [(r.level.value, f"{r.says} {r.mend}") for r in remarks if about in r.about]


async def test_a_sound_installation_has_nothing_to_mend_and_each_mistake_is_found(tmp_path: Path) -> None:
    async with house(tmp_path, start=False) as home:
        remarks = await inspected(home.settings)
        assert [r for r in remarks if r.level is Level.WRONG] == []
        assert said(remarks, "token") == [("ok", "Discord knows it: lorasmith ")]
        assert said(remarks, "clock")[0][0] == "ok"
        assert f"client_id={home.server.world.application_id}" in said(remarks, "invite")[0][1]
        assert said(remarks, "Second Loop") == [("ok", "all permissions in 1 channels; 0 are hidden from the bot ")]
        await _permissions(home)
        await _token(home)
        home.server.violations.clear()  # that a wrong token is refused is no departure


async def _permissions(home: House) -> None:
    """A channel without files and one that is hidden; then nowhere at all; then a server that is not served."""
    channels = {c.name: c for c in home.server.world.channels.values()}
    deny = {"channel_id": str(channels["general"].id), "deny": ["ATTACH_FILES", "EMBED_LINKS"]}
    await home.director.direct("overwrite", **deny)
    remarks = await inspected(home.settings)
    assert said(remarks, "server 'Loopback'")[1] == (
        "note",
        (
            "not everywhere: #general lack Attach Files, Embed Links "
            "Allow it in those channels' settings, or take no orders there."
        ),
    )
    await home.director.direct("overwrite", channel_id=str(channels["lora"].id), deny=["VIEW_CHANNEL"])
    served = {"allowed_servers": frozenset({int(channels["general"].guild_id or 0)})}
    remarks = await inspected(home.settings.model_copy(update=served))
    assert said(remarks, "server 'Loopback'")[0][0] == "wrong"
    assert "in none of its channels" in said(remarks, "server 'Loopback'")[0][1]
    assert "it leaves when it starts" in said(remarks, "Second Loop")[0][1]


async def _token(home: House) -> None:
    wrong = home.settings.model_copy(update={"token": type(home.settings.token)("a.b.c")})
    remarks = await inspected(wrong)
    assert said(remarks, "token")[0][1].startswith("Discord does not know it (any more) Reset it")
    assert "a.b.c" not in str(remarks)
    gone = home.settings.model_copy(update={"discord_url": "http://127.0.0.1:1"})
    assert said(await inspected(gone), "discord")[0][1].startswith("http://127.0.0.1:1 cannot be reached")


async def test_the_port_and_the_public_address_are_tried(tmp_path: Path) -> None:
    async with house(tmp_path, start=False) as home, other_program() as port:
        taken = home.settings.model_copy(update={"web_port": port, "public_url": f"http://127.0.0.1:{port}"})
        remarks = await inspected(taken)
        assert said(remarks, "port")[0][1].endswith("set LORASMITH_WEB_PORT or LORASMITH_WEB_HOST.")
        assert "it is not this bot (404)" in said(remarks, "public")[0][1]
        free = free_port()
        ours = home.settings.model_copy(update={"web_port": free, "public_url": f"http://127.0.0.1:{free}"})
        remarks = await inspected(ours)
        assert said(remarks, "port") == [("ok", f"127.0.0.1:{free} is free ")]
        assert said(remarks, "public")[0][1].startswith(f"http://127.0.0.1:{free} leads here from this machine alone")


class other_program:  # noqa: N801  # reads as what it is
    """Another web server on a port that the bot wants."""

    async def __aenter__(self) -> int:
        self.runner = web.AppRunner(web.Application(), access_log=None)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        return int(self.runner.addresses[0][1])

    async def __aexit__(self, *_: object) -> None:
        await self.runner.cleanup()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_what_was_pasted_instead_of_the_token_is_told_by_its_look() -> None:
    for wrong, word in {
        "": "there is none", '"a.b.c"': "quotes", "Bot a.b.c": "the word Bot", "ab" * 32: "public key",
        "123456789012345678": "an id", "k3J-secretsecretsecretsecret": "client secret",
    }.items():  # fmt: skip
        remark = token_shape(wrong)
        assert remark is not None
        assert word in remark.says
        assert "LORASMITH_TOKEN" in remark.mend or ".env" in remark.mend
        assert not wrong or wrong not in str(remark)
    assert token_shape("MTAw.Loop1.abc") is None


def test_a_clock_that_is_off_and_switches_of_the_portal_are_found() -> None:
    assert _clock(reply({}, skew_s=400.0)).says.startswith("this machine is 400 s ahead of Discord's clock: links")
    assert _clock(reply({}, skew_s=-9.0)).level is Level.NOTE
    body = {"id": "7", "interactions_endpoint_url": "https://x", "bot_require_code_grant": True, "bot_public": False}
    levels = [(r.about, r.level.value) for r in _application(reply(body))]
    assert levels[2:] == [("interactions", "wrong"), ("invite", "wrong"), ("invite", "note")]
    assert _starts(reply({"session_start_limit": {"remaining": 3}}))[0].level is Level.WRONG
    assert _starts(reply({"session_start_limit": {"remaining": 900}})) == []


def reply(body: object, skew_s: float | None = None) -> Reply:
    return Reply(status=200, body=body, skew_s=skew_s)


def test_the_invite_link_asks_for_what_is_needed_and_nothing_else() -> None:
    link = aiohttp.client.URL(invite_link(42))
    assert (link.host, link.query["client_id"]) == ("discord.com", "42")
    assert set(link.query["scope"].split()) == {"bot", "applications.commands"}
    asked = discord.Permissions(int(link.query["permissions"]))
    assert missing(asked.value) == []
    assert not asked.administrator
    assert asked == needed()
    assert missing(0)[:2] == ["View Channel", "Send Messages"]
