"""The bot's own web pages: downloads by signed links, the page of an order, health and numbers. Everything else is refused.

Listens on 127.0.0.1 unless the operator says otherwise; in front of it belongs whatever ends TLS.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from aiohttp import web
from sqlalchemy import text
from sqlmodel import Session

from bot.delivery import files_in
from bot.links import FileLink, Links, link_key
from bot.metrics import CONTENT_TYPE, Metrics
from bot.parts import Parts
from bot.settings import BotSettings
from storage.domain.errors import SetupError
from storage.domain.orders import file_stem
from storage.page import order_page
from storage.page.frame import POLICY
from storage.tables import Checkpoint, Delivery, Order
from storage.view import view_of

log = logging.getLogger(__name__)

MAX_REQUEST = 4096
"""Bytes of a request's body; nothing here takes one."""
STORE_LINK_S = 60.0
"""How long a link into a shared store works after the redirect."""
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, no-store",
    "X-Robots-Tag": "noindex",
}


async def serve(parts: Parts) -> None:
    """Serve until cancelled."""
    links = Links(key=await parts.database.transact(link_key), address=parts.settings.public_url or "")
    numbers = Metrics(parts)
    runner = web.AppRunner(application(parts, links, numbers), access_log=None, shutdown_timeout=2.0)
    await runner.setup()
    try:
        await _listen(runner, parts.settings)
        log.info("web pages on %s", runner.addresses[:1])
        await numbers.beat()
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, settings: BotSettings) -> None:
    """Raises `SetupError` where the address cannot be had.

    Cancelled half-way it comes up first: before asyncio hands a listening socket over, nobody but itself could close it.
    """
    starting = asyncio.ensure_future(web.TCPSite(runner, settings.web_host, settings.web_port).start())
    try:
        await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.wait([starting])
        raise
    except OSError as error:
        raise SetupError(
            f"The bot's web pages cannot listen on {settings.web_host}:{settings.web_port} ({error.strerror or error}). "
            "Another program may use it: set LORASMITH_WEB_PORT (0 takes a free one) or LORASMITH_WEB_HOST."
        ) from error


def application(parts: Parts, links: Links, numbers: Metrics | None = None) -> web.Application:
    """The routes; made apart from `serve` so that tests can ask it."""
    pages = _Pages(parts, links, numbers or Metrics(parts))
    app = web.Application(client_max_size=MAX_REQUEST, middlewares=[_plain])
    app.router.add_get("/files/{order}/{step:\\d{1,9}}/{role:[a-z]{1,12}}", pages.file)
    app.router.add_get("/orders/{order}/{token:[0-9a-f]{32}}", pages.order)
    app.router.add_get("/health", pages.health)
    app.router.add_get("/ready", pages.ready)
    app.router.add_get("/metrics", pages.metrics)
    return app


@web.middleware
async def _plain(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """The same headers on every answer; what goes wrong says nothing about the inside."""
    try:
        response = await handler(request)
    except web.HTTPException as error:
        response = web.Response(status=error.status, text=error.reason)
    except Exception:
        log.exception("a web page failed")
        response = web.Response(status=500, text="Internal Server Error")
    if not response.prepared:
        response.headers.update({k: v for k, v in HEADERS.items() if k not in response.headers})
    return response


class _Pages:
    def __init__(self, parts: Parts, links: Links, numbers: Metrics) -> None:
        self.parts = parts
        self.links = links
        self.numbers = numbers

    async def file(self, request: web.Request) -> web.StreamResponse:
        """A file for one member; the link says which, for whom and until when, and cannot be changed."""
        link = _link_in(request)
        if link is None or not self.links.good_file(link, request.query.get("s", "")):
            raise web.HTTPForbidden(reason="This link has run out. Press the button again for a new one.")
        found = await self.parts.database.transact(_file_of, link)
        if found is None:
            raise web.HTTPNotFound
        key, name = found
        path = self.parts.artifacts.local_path(key)
        if path is None:
            url = self.parts.artifacts.url(key, STORE_LINK_S)
            raise web.HTTPFound(url) if url else web.HTTPNotFound
        if not path.is_file():
            raise web.HTTPNotFound
        return web.FileResponse(
            path,
            headers={
                **HEADERS,
                "Content-Disposition": f'attachment; filename="{name}"',  # the stem is plain ASCII without quotes
                "Content-Type": "application/octet-stream",
                "Content-Security-Policy": "default-src 'none'; sandbox",
            },
        )

    async def order(self, request: web.Request) -> web.Response:
        """An order's page, for whoever has its address."""
        order_id = request.match_info["order"]
        if not self.links.good_page(order_id, request.match_info["token"]):
            raise web.HTTPNotFound
        try:
            view = await view_of(self.parts.database, self.parts.artifacts, order_id)
        except LookupError as error:
            raise web.HTTPNotFound from error
        page = await asyncio.to_thread(order_page, view)
        response = web.Response(text=page, content_type="text/html", headers={"Content-Security-Policy": POLICY})
        response.enable_compression()  # pictures in base64 shrink by a quarter
        return response

    async def health(self, _: web.Request) -> web.Response:
        """The process answers."""
        return web.Response(text="ok\n")

    async def ready(self, _: web.Request) -> web.Response:
        """The database answers and Discord is connected."""
        try:
            await asyncio.wait_for(self.parts.database.transact(_ping), 5)
        except Exception:  # noqa: BLE001  # whatever it is, it is not ready
            return web.Response(status=503, text="the database does not answer\n")
        if not self.parts.discord.is_ready():
            return web.Response(status=503, text="not connected to Discord\n")
        return web.Response(text="ready\n")

    async def metrics(self, _: web.Request) -> web.Response:
        """Numbers for Prometheus."""
        return web.Response(body=await self.numbers.text(), headers={"Content-Type": CONTENT_TYPE})


def _link_in(request: web.Request) -> FileLink | None:
    expires = request.query.get("e", "")
    if not (expires.isascii() and expires.isdigit() and len(expires) < 12):
        return None
    return FileLink(
        order_id=request.match_info["order"],
        step=int(request.match_info["step"]),
        role=request.match_info["role"],
        member_id=request.query.get("m", ""),
        expires=int(expires),
    )


def _file_of(session: Session, link: FileLink) -> tuple[str, str] | None:
    """(artifact key, file name): of the final delivery where it is that step's, else the checkpoint's own file."""
    order = session.get(Order, link.order_id)
    checkpoint = session.get(Checkpoint, (link.order_id, link.step))
    if (
        order is None
        or checkpoint is None
        or order.removed_at is not None
        or link.role != "lora"
        or link.member_id != order.owner_id
    ):
        return None
    row = session.get(Delivery, f"{order.id}:final:{link.step}")
    key = files_in(row).get("lora", checkpoint.lora_artifact) if row else checkpoint.lora_artifact
    return key, f"{file_stem(order.name, order.id, None if row else link.step)}.safetensors"


def _ping(session: Session) -> None:
    session.execute(text("SELECT 1"))
