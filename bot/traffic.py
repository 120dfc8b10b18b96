"""What goes wrong between the bot and Discord, counted where every request of discord.py passes."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import aiohttp
import discord


class Traffic(aiohttp.TraceConfig):
    """Counts of one client's connection, since it was made. Handed to it before it logs in: `watch`."""

    def __init__(self) -> None:
        super().__init__()
        self.requests = 0
        self.refusals: Counter[int] = Counter()
        """Answers of 400 and more by status; 429 is a rate limit."""
        self.broken = 0
        """Requests without an answer: the network, or a time limit."""
        self.on_request_end.append(self._ended)
        self.on_request_exception.append(self._broke)

    async def _ended(
        self, _: aiohttp.ClientSession, __: SimpleNamespace, params: aiohttp.TraceRequestEndParams
    ) -> None:
        self.requests += 1
        if params.response.status >= 400:
            self.refusals[params.response.status] += 1

    async def _broke(
        self, _: aiohttp.ClientSession, __: SimpleNamespace, ___: aiohttp.TraceRequestExceptionParams
    ) -> None:
        self.requests += 1
        self.broken += 1


def watch(client: discord.Client) -> None:
    """Count this client's requests from its log-in on."""
    client.http.http_trace = Traffic()


def traffic_of(client: discord.Client) -> Traffic:
    """Its counts; all zero for a client that is not watched."""
    found = client.http.http_trace
    return found if isinstance(found, Traffic) else Traffic()
