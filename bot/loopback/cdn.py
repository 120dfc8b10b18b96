"""Attachment links: signed, expiring, served with ranges. The host is the loopback itself, the path is Discord's."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING
from urllib.parse import quote

from aiohttp import web

from bot.loopback.faults import disturb

if TYPE_CHECKING:
    from bot.loopback.service import Service
    from bot.loopback.world import Attachment

GONE = "This content is no longer available."
ROUTE = "/attachments/{channel_id}/{attachment_id}/{filename}"


def signed(item: Attachment, service: Service) -> str:
    """A link that works for `link_life_s`, less up to a twenty-fourth of it: links stay equal for that long."""
    steady_s = max(1, int(service.rules.link_life_s / 24))
    issued = int(service.clock.now()) // steady_s * steady_s
    expires = issued + int(service.rules.link_life_s)
    path = f"/attachments/{item.channel_id}/{item.id}/{quote(item.filename)}"
    mark = _mark(service, item.id, expires=expires, issued=issued)
    return f"{service.origin}{path}?ex={expires:x}&is={issued:x}&hm={mark}"


def _mark(service: Service, attachment_id: int, *, expires: int, issued: int) -> str:
    text = f"{attachment_id}:{expires:x}:{issued:x}".encode()
    return hmac.new(service.world.link_key.encode(), text, hashlib.sha256).hexdigest()


def _holds(service: Service, request: web.Request, attachment_id: int) -> bool:
    try:
        expires, issued = int(request.query["ex"], 16), int(request.query["is"], 16)
    except (KeyError, ValueError):
        return False
    right = _mark(service, attachment_id, expires=expires, issued=issued)
    return hmac.compare_digest(right, request.query.get("hm", "")) and service.clock.now() < expires


def stored(service: Service, attachment_id: int) -> Attachment | None:
    """The file's row, or None once nothing holds it."""
    return service.world.uploads.get(attachment_id)


def handler(service: Service) -> web.AbstractRouteDef:
    """The one route of the CDN."""

    async def serve(request: web.Request) -> web.StreamResponse:
        number = request.match_info["attachment_id"]
        item = stored(service, int(number)) if number.isdigit() else None
        if item is None or not _holds(service, request, item.id) or request.match_info["filename"] != item.filename:
            return web.Response(status=404, text=GONE)
        fault = service.faults.take("GET", "cdn")
        if fault is not None:
            disturbed = await disturb(fault, request, service.blobs / str(item.id))
            if disturbed is not None:
                return disturbed
        headers = {"Content-Type": item.content_type, "Content-Disposition": _disposition(item)}
        return web.FileResponse(service.blobs / str(item.id), headers=headers)

    return web.get(ROUTE, serve)


def _disposition(item: Attachment) -> str:
    kind = "inline" if item.content_type.startswith("image/") and "svg" not in item.content_type else "attachment"
    return f"{kind}; filename*=UTF-8''{quote(item.filename)}"
