"""Downloads have bounds of their own: bytes, time, tries, and no other host."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bot import download
from bot.download import Downloads, downloads
from bot.settings import BotSettings
from storage.domain.errors import PictureFault, PictureRefused

Serve = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "PAUSE_S", 0.01)


@asynccontextmanager
async def serving(serve: Serve, **settings: Any) -> AsyncIterator[tuple[Downloads, str]]:
    """Downloads that may fetch from one little server, and its address."""
    app = web.Application()
    app.router.add_get("/{name}", serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
    made = BotSettings(_env_file=None, token="t", discord_url=origin, **settings)
    try:
        async with downloads(made) as fetches:
            yield fetches, f"{origin}/a.png"
    finally:
        await runner.cleanup()


async def fault_of(fetches: Downloads, url: str, path: Path) -> PictureFault:
    with pytest.raises(PictureRefused) as caught:
        await fetches.fetch(url, path)
    assert not path.exists() or caught.value.fault is PictureFault.TOO_MANY_BYTES
    return caught.value.fault


async def test_a_file_arrives_whole(tmp_path: Path) -> None:
    async def serve(_: web.Request) -> web.Response:
        return web.Response(body=b"x" * 200_000)

    async with serving(serve) as (fetches, url):
        await fetches.fetch(url, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"x" * 200_000


async def test_a_file_that_says_it_is_too_large_is_not_read(tmp_path: Path) -> None:
    async def serve(_: web.Request) -> web.Response:
        return web.Response(body=b"x" * 200_000)

    async with serving(serve, max_picture_mib=0.1) as (fetches, url):
        assert await fault_of(fetches, url, tmp_path / "a") is PictureFault.TOO_MANY_BYTES
    assert not (tmp_path / "a").exists()


async def test_a_file_that_does_not_say_how_large_it_is_is_cut_off(tmp_path: Path) -> None:
    async def serve(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        answer.enable_chunked_encoding()
        await answer.prepare(request)
        try:
            while True:
                await answer.write(b"x" * 65536)
        except ConnectionError:
            return answer

    async with serving(serve, max_picture_mib=1) as (fetches, url):
        assert await fault_of(fetches, url, tmp_path / "a") is PictureFault.TOO_MANY_BYTES
    assert (tmp_path / "a").stat().st_size <= 1024 * 1024


async def test_a_slow_drip_ends_in_time_and_is_not_tried_again(tmp_path: Path) -> None:
    calls = 0

    async def serve(request: web.Request) -> web.StreamResponse:
        nonlocal calls
        calls += 1
        answer = web.StreamResponse()
        await answer.prepare(request)
        for _ in range(100):
            await answer.write(b"x")
            await asyncio.sleep(0.05)
        return answer

    async with serving(serve, download_s=0.3) as (fetches, url):
        async with asyncio.timeout(2):
            assert await fault_of(fetches, url, tmp_path / "a") is PictureFault.DOWNLOAD_FAILED
    assert calls == 1


@pytest.mark.parametrize(
    ("status", "fault", "tries"),
    [
        (404, PictureFault.LINK_EXPIRED, 1),
        (403, PictureFault.LINK_EXPIRED, 1),
        (302, PictureFault.DOWNLOAD_FAILED, 1),
        (500, PictureFault.DOWNLOAD_FAILED, 3),
        (429, PictureFault.DOWNLOAD_FAILED, 3),
    ],
)
async def test_answers_that_are_no_file(status: int, fault: PictureFault, tries: int, tmp_path: Path) -> None:
    calls = 0

    async def serve(_: web.Request) -> web.Response:
        nonlocal calls
        calls += 1
        return web.Response(status=status, headers={"Location": "http://127.0.0.1:9/x"} if status == 302 else {})

    async with serving(serve) as (fetches, url):
        assert await fault_of(fetches, url, tmp_path / "a") is fault
    assert calls == tries


async def test_a_link_to_elsewhere_is_refused_without_a_request(tmp_path: Path) -> None:
    async def serve(_: web.Request) -> web.Response:
        raise AssertionError("nobody may come here")

    async with serving(serve) as (fetches, _):
        for url in ("http://127.0.0.1:9/a.png", "file:///etc/passwd", "https://cdn.discordapp.com/a.png"):
            assert await fault_of(fetches, url, tmp_path / "a") is PictureFault.DOWNLOAD_FAILED
