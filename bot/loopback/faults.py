"""Scripts of trouble: the next N calls of a route fail, stall, or lose their connection before or after the deed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from pathlib import Path

ANY = "*"


@dataclass(kw_only=True)
class Fault:
    """One scripted trouble. `when` says whether the deed is done first ("after") or not at all ("before")."""

    route: str  # "POST /channels/{channel_id}/messages", "GET cdn", or "*"
    times: int = 1
    skip: int = 0
    when: str = "before"
    status: int | None = None
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    via: bool = True
    delay_s: float = 0.0
    drop: bool = False
    content_type: str | None = None  # CDN: lies about the type
    truncate_to: int | None = None  # CDN: promises all, sends this many bytes
    redirect: str | None = None  # CDN: sends the caller elsewhere
    drip_s: float = 0.0  # CDN: waits this long between 16 KiB pieces
    bytes_promised: int | None = None  # CDN: claims this Content-Length
    hits: int = 0

    @property
    def fails(self) -> bool:
        """Whether the call ends badly, not only late."""
        return self.drop or self.status is not None

    def takes(self, route: str) -> bool:
        """Whether this fault meets a call of the route now."""
        return self.times > 0 and self.route in {ANY, route}


@dataclass(kw_only=True)
class Faults:
    """The waiting scripts, first come first served."""

    waiting: list[Fault] = field(default_factory=list)

    def add(self, fault: Fault) -> None:
        """Queue a script."""
        self.waiting.append(fault)

    def clear(self) -> None:
        """Forget all scripts."""
        self.waiting.clear()

    def take(self, method: str, route: str) -> Fault | None:
        """The fault that meets this call, counted down; None lets it pass."""
        for fault in self.waiting:
            if not fault.takes(f"{method} {route}"):
                continue
            if fault.skip > 0:
                fault.skip -= 1
                return None
            fault.times -= 1
            fault.hits += 1
            return fault
        return None


def cut(request: web.Request) -> web.Response:
    """Lose the connection with a reset; the returned answer never reaches anybody."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


async def disturb(fault: Fault, request: web.Request, path: Path) -> web.StreamResponse | None:
    """What a fault makes of a download; None serves the file after the delay."""
    await asyncio.sleep(fault.delay_s)
    if fault.drop:
        return cut(request)
    if fault.redirect is not None:
        return web.Response(status=302, headers={"Location": fault.redirect})
    if fault.status is not None:
        return web.Response(status=fault.status, text=str(fault.body or ""))
    if fault.content_type is None and fault.truncate_to is None and not fault.drip_s and fault.bytes_promised is None:
        return None
    return await _crippled(fault, request, path.read_bytes())


async def _crippled(fault: Fault, request: web.Request, content: bytes) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": fault.content_type or "application/octet-stream"})
    response.content_length = len(content) if fault.bytes_promised is None else fault.bytes_promised
    await response.prepare(request)
    sent = content if fault.truncate_to is None else content[: fault.truncate_to]
    for start in range(0, len(sent), 16_384):
        await response.write(sent[start : start + 16_384])
        await asyncio.sleep(fault.drip_s)
    if len(sent) < (response.content_length or 0):
        return cut(request)
    return response
