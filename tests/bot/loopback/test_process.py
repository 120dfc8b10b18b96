"""The loopback as a process of its own, and its fences."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from bot.loopback.founding import WorldPlan, found
from bot.loopback.member import Director, Member

if TYPE_CHECKING:
    from conftest import Stage

ROOT = Path(__file__).parents[3]


def begin(ready: Path, *more: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "bot.loopback", "--ready-file", str(ready), *more]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, cwd=ROOT)


async def card(ready: Path) -> dict[str, Any]:
    async with asyncio.timeout(15):
        while not ready.exists():  # noqa: ASYNC110  # another process writes it
            await asyncio.sleep(0.02)
    return dict(json.loads(ready.read_text()))


@pytest.fixture
def ready(tmp_path: Path) -> Path:
    return tmp_path / "ready.json"


async def test_it_says_where_it_is_and_ends_with_its_parent(ready: Path) -> None:
    process = begin(ready)
    told = await card(ready)
    assert ready.stat().st_mode & 0o077 == 0
    ada = int(told["guilds"]["Loopback"]["members"]["Ada"])
    lora = int(told["guilds"]["Loopback"]["channels"]["lora"])
    async with Member(url=told["page"], user_id=ada) as member, Director(url=told["page"]) as director:
        posted = await member.post_message(lora, "hello", files=[("a.txt", b"abc")])
        assert await member.download(posted.files[0]) == b"abc"
        assert await director.violations() == []
    assert process.stdin is not None
    process.stdin.close()
    assert await asyncio.to_thread(process.wait, 10) == 0


async def test_it_ends_with_sigterm_and_takes_a_world_from_a_file(ready: Path, tmp_path: Path) -> None:
    world = tmp_path / "world.json"
    world.write_text('{"servers": [{"name": "Mine", "channels": ["a"], "members": ["Zoe"]}], "token": "abc"}')
    process = begin(ready, "--world", str(world), "--real-rates")
    told = await card(ready)
    assert list(told["guilds"]) == ["Mine"]
    assert told["token"] == "abc"
    process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(process.wait, 10) == 0
    assert process.stdin is not None
    process.stdin.close()


async def test_it_stays_when_nobody_holds_its_standard_input(ready: Path) -> None:
    command = [sys.executable, "-m", "bot.loopback", "--ready-file", str(ready)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd=ROOT)  # noqa: ASYNC220  # it does not wait
    told = await card(ready)
    async with Director(url=told["page"]) as director:
        assert (await director.world())["bot_connected"] is False
    assert process.poll() is None
    process.terminate()
    assert await asyncio.to_thread(process.wait, 10) == 0


def test_it_imports_neither_discord_nor_the_rest_of_bot() -> None:
    code = (
        "import sys, bot.loopback.server, bot.loopback.member, bot.loopback.__main__;"
        "bad = [m for m in sys.modules if m.split('.')[0] in {'discord', 'PIL', 'torch', 'sqlmodel', 'storage'}"
        " or (m.startswith('bot.') and not m.startswith('bot.loopback'))];"
        "print(bad)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


async def test_a_foreign_page_can_neither_act_nor_rebind(stage: Stage) -> None:
    ada = str(stage.server.user_id("Ada"))
    order = json.dumps({"as": ada, "do": "post", "channel_id": str(stage.lora), "content": "forged"})
    async with aiohttp.ClientSession() as session:
        act = stage.server.url + "/loopback/act"
        async with session.post(act, data=order, headers={"Content-Type": "text/plain"}) as response:
            assert response.status == 415
        async with session.get(stage.server.url + "/loopback/world", headers={"Host": "evil.example"}) as response:
            assert response.status == 403
        async with session.get(stage.server.url) as response:
            assert response.status == 200
            assert "default-src 'none'" in response.headers["Content-Security-Policy"]


async def test_a_wrong_order_is_an_answer_and_no_crash(stage: Stage) -> None:
    async with aiohttp.ClientSession() as session:
        for order in ({}, {"as": "x", "do": "post"}, {"as": str(stage.server.user_id("Ada")), "do": "post"}):
            async with session.post(stage.server.url + "/loopback/act", json=order) as response:
                assert response.status == 400
        async with session.post(stage.server.url + "/loopback/direct", json={"do": "rule", "no_such": 1}) as response:
            assert response.status == 400


async def test_a_member_cannot_upload_over_the_limit(stage: Stage) -> None:
    from bot.loopback.member import Refused

    ada = await stage.member("Ada")
    await stage.director.direct("rule", member_upload_bytes=1000)
    with pytest.raises(Refused) as refused:
        await ada.upload(("a.bin", b"x" * 1001))
    assert refused.value.code == 40005
    assert [f for f in os.listdir(stage.server.service.blobs) if f.startswith("incoming")] == []  # noqa: PTH208


def test_a_plan_with_an_unknown_key_is_an_error() -> None:
    with pytest.raises(TypeError):
        WorldPlan.from_json({"servers": [], "colour": "red"})


def test_people_are_the_same_in_every_server_they_live_in() -> None:
    servers = [{"name": n, "channels": ["x"], "members": ["Zoe", n]} for n in ("A", "B")]
    world = found(WorldPlan.from_json({"servers": servers}))
    assert sorted(u.display_name for u in world.users.values() if not u.bot) == ["A", "B", "Zoe"]
    assert all(world.bot_id in g.members for g in world.guilds.values())


async def test_a_kept_world_comes_back_with_its_words_files_and_commands(tmp_path: Path) -> None:
    from bot.loopback.server import LoopbackServer

    async with LoopbackServer.start(state=tmp_path) as server:
        ada, lora = server.user_id("Ada"), server.channel_id("lora")
        token, before = server.token, server.world
        async with Member(url=server.url, user_id=ada) as member:
            said = await member.post_message(lora, "kept", files=[("a.txt", b"abc")])
            await member.react(said, "👍")
    assert (tmp_path / "world.json").stat().st_mode & 0o077 == 0
    async with LoopbackServer.start(state=tmp_path) as server:
        assert server.token == token
        assert server.world == before
        async with Member(url=server.url, user_id=ada) as member:
            again = (await member.visible_messages(lora))[0]
            assert (again.id, again.content, again.reactions) == (said.id, "kept", {"👍": [ada]})
            assert await member.download(again.files[0]) == b"abc"
            assert (await member.post_message(lora, "new")).id > said.id
