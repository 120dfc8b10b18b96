"""Questions to Discord's REST interface without a running bot: one at a time, patient with rate limits, bounded in size."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp

from bot.settings import BotSettings

TIMEOUT_S = 15.0
MAX_BYTES = 16 << 20
TRIES = 4
LONGEST_WAIT_S = 10.0
AGENT = "DiscordBot (lorasmith, 1)"


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What Discord said."""

    status: int
    body: Any
    skew_s: float | None
    """By how many seconds this machine's clock is ahead of Discord's, to about one; None where it did not say the time."""


class Questions:
    """One conversation. The token goes to the configured address and nowhere else: redirects are not followed."""

    def __init__(self, session: aiohttp.ClientSession, settings: BotSettings) -> None:
        self._session = session
        self._base = f"{settings.discord_url}/api/v10"
        self._headers = {"Authorization": f"Bot {settings.token.get_secret_value()}", "User-Agent": AGENT}

    async def get(self, path: str) -> Reply:
        """Raises `aiohttp.ClientError` or `TimeoutError` where Discord cannot be reached, `ValueError` for no such answer."""
        for _ in range(TRIES - 1):
            reply = await self._once(path)
            if reply.status != 429:
                return reply
            wait_s = reply.body.get("retry_after", 1.0) if isinstance(reply.body, dict) else 1.0
            await asyncio.sleep(min(float(wait_s), LONGEST_WAIT_S))
        return await self._once(path)

    async def _once(self, path: str) -> Reply:
        before = time.time()
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with self._session.get(
            self._base + path, headers=self._headers, timeout=timeout, allow_redirects=False
        ) as answer:
            middle = (before + time.time()) / 2
            body = bytearray()
            async for chunk in answer.content.iter_chunked(1 << 16):
                body += chunk
                if len(body) > MAX_BYTES:
                    raise ValueError("Discord's answer is too long")
            return Reply(
                status=answer.status, body=_json(bytes(body)), skew_s=_skew(answer.headers.get("Date"), middle)
            )


def _json(body: bytes) -> Any:  # noqa: ANN401  # whatever a server may say
    try:
        return json.loads(body) if body else None
    except ValueError:
        return None


def _skew(date: str | None, ours: float) -> float | None:
    """`Date` has whole seconds, cut off: half a second is added for its middle."""
    try:
        return ours - (parsedate_to_datetime(date).timestamp() + 0.5) if date else None
    except ValueError:
        return None
