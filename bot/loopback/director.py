"""Calls to `/loopback/...`, and whoever stands outside the world: makes trouble, reads the records."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Self

import aiohttp

from bot.loopback.seen import JSON, SeenMessage


class Refused(Exception):
    """The loopback said no: Discord's code and text in `code` and `text`."""

    def __init__(self, status: int, body: JSON) -> None:
        self.status, self.code, self.text, self.errors = (
            status,
            body.get("code"),
            body.get("message"),
            body.get("errors"),
        )
        super().__init__(f"{status} {body}")


@dataclass(kw_only=True)
class Caller:
    """HTTP to the loopback. Use it as an async context manager."""

    url: str
    session: aiohttp.ClientSession = field(init=False, repr=False)

    async def __aenter__(self) -> Self:
        self.session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()

    async def get(self, path: str, **query: Any) -> Any:  # noqa: ANN401  # any JSON
        """GET /loopback/`path`."""
        async with self.session.get(f"{self.url}/loopback/{path}", params=query) as response:
            return await checked(response)

    async def post(self, path: str, body: JSON) -> Any:  # noqa: ANN401  # any JSON
        """POST /loopback/`path`."""
        async with self.session.post(f"{self.url}/loopback/{path}", json=body) as response:
            return await checked(response)


async def checked(response: aiohttp.ClientResponse) -> Any:  # noqa: ANN401  # any JSON
    """The JSON of an answer, or Refused."""
    body = await response.json(content_type=None)
    if response.status >= 400:  # the class of errors
        raise Refused(response.status, body)
    return body


@dataclass(kw_only=True)
class Director(Caller):
    """Whoever stands outside the world: makes trouble, reads the records."""

    async def direct(self, verb: str, **order: Any) -> None:  # noqa: ANN401  # any JSON
        """Do a verb of bot.loopback.directions, such as `direct("fault", route="POST ...", status=500)`."""
        await self.post("direct", {"do": verb, **order})

    async def world(self) -> JSON:
        """Everything, hidden channels included."""
        seen: JSON = await self.get("world")
        return seen

    async def violations(self) -> list[JSON]:
        """Departures from Discord's contract, on either side."""
        found: list[JSON] = await self.get("violations")
        return found

    async def transcript(self) -> list[JSON]:
        """Every HTTP call of the bot with its answer."""
        found: list[JSON] = await self.get("transcript")
        return found

    async def acknowledgements(self) -> list[JSON]:
        """For each answered interaction: kind, name, after_ms, answer_kind."""
        found: list[JSON] = await self.get("acknowledgements")
        return found

    async def messages(self, channel: int) -> list[SeenMessage]:
        """Everything said in a channel, ephemeral answers included."""
        return [SeenMessage.of(m) for m in await self.get(f"channels/{channel}/messages", limit=200)]

    async def wait_for_bot(self, *, connected: bool = True, timeout_s: float = 30.0) -> None:
        """Until the bot's gateway session is there (or gone).

        Raises:
            TimeoutError: it did not come in time.
        """
        async with asyncio.timeout(timeout_s):
            while (await self.world())["bot_connected"] is not connected:  # noqa: ASYNC110  # it is over HTTP
                await asyncio.sleep(0.05)
