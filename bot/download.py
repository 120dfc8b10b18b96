"""Fetching what a member attached, with bounds of our own: host, redirects, bytes, time, and how often it is tried."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from bot.endpoints import attachment_origin_allowed
from bot.settings import BotSettings
from storage.domain.errors import PictureFault, PictureRefused
from storage.words import size

CHUNK_BYTES = 64 * 1024
AT_ONCE = 3
"""Downloads at a time, over all orders: the bot stays small."""
TRIES = 3
PAUSE_S = 0.5
"""Before the second try; doubled before the third."""


class Downloads:
    """The one place that fetches from links that came from outside."""

    def __init__(self, settings: BotSettings, session: aiohttp.ClientSession) -> None:
        self._settings = settings
        self._session = session
        self._slots = asyncio.Semaphore(AT_ONCE)
        self.max_bytes = int(settings.max_picture_mib * 1024 * 1024)

    async def fetch(self, url: str, path: Path) -> None:
        """Fetch `url` into `path`. Raises `PictureRefused`: too many bytes, link expired, or download failed."""
        if not attachment_origin_allowed(url, self._settings):
            raise PictureRefused(PictureFault.DOWNLOAD_FAILED, "it does not lie on Discord")
        async with self._slots:
            for number in range(TRIES):
                try:
                    async with asyncio.timeout(self._settings.download_s):
                        await self._once(url, path)
                except (aiohttp.ClientError, TimeoutError, OSError) as error:
                    path.unlink(missing_ok=True)
                    if number == TRIES - 1 or isinstance(error, TimeoutError):
                        raise PictureRefused(PictureFault.DOWNLOAD_FAILED) from error
                else:
                    return
                await asyncio.sleep(PAUSE_S * 2**number)

    async def _once(self, url: str, path: Path) -> None:
        async with self._session.get(url, allow_redirects=False) as answer:
            if answer.status in (403, 404, 410):
                raise PictureRefused(PictureFault.LINK_EXPIRED)
            if answer.status >= 500 or answer.status == 429:
                raise aiohttp.ClientPayloadError(f"status {answer.status}")
            if answer.status != 200:  # redirects included: they could lead anywhere
                raise PictureRefused(PictureFault.DOWNLOAD_FAILED)
            if (answer.content_length or 0) > self.max_bytes:
                raise PictureRefused(PictureFault.TOO_MANY_BYTES, f"at most {size(self.max_bytes)}")
            await self._write(answer.content, path)

    async def _write(self, content: aiohttp.StreamReader, path: Path) -> None:
        got = 0
        with path.open("wb") as file:
            async for chunk in content.iter_chunked(CHUNK_BYTES):
                got += len(chunk)
                if got > self.max_bytes:
                    raise PictureRefused(PictureFault.TOO_MANY_BYTES, f"at most {size(self.max_bytes)}")
                file.write(chunk)


@asynccontextmanager
async def downloads(settings: BotSettings) -> AsyncIterator[Downloads]:
    """Downloads with a session of their own: no cookies, no proxies from the environment, no credentials."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=20)
    async with aiohttp.ClientSession(
        cookie_jar=aiohttp.DummyCookieJar(), timeout=timeout, trust_env=False, auto_decompress=False
    ) as session:
        yield Downloads(settings, session)
