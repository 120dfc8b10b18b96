"""The chat page: the files in `page/`, served as one self-contained document that loads nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from aiohttp import web

FOLDER = Path(__file__).with_name("page")


def style() -> str:
    """The page's style sheet."""
    return (FOLDER / "chat.css").read_text()


def script() -> str:
    """The page's scripts in the order of their names, as one closed scope."""
    parts = "\n".join(p.read_text() for p in sorted(FOLDER.glob("*.js")))
    return f'(() => {{\n"use strict";\n{parts}\n}})();'


def document() -> str:
    """The page with its style and script inside."""
    text = (FOLDER / "chat.html").read_text()
    return text.replace("/*STYLE*/", style()).replace("/*SCRIPT*/", script())


def policy() -> str:
    """Only this very script and style run; pictures and calls stay on this server."""
    return (
        f"default-src 'none'; script-src '{_mark(script())}'; style-src '{_mark(style())}'; "
        "img-src 'self' data: blob:; connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    )


def _mark(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def handler() -> web.AbstractRouteDef:
    """GET /."""

    async def show(_: web.Request) -> web.Response:
        headers = {"Content-Security-Policy": policy(), "X-Content-Type-Options": "nosniff"}
        return web.Response(text=document(), content_type="text/html", headers=headers)

    return web.get("/", show)
