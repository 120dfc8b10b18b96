"""The chat page: three files in `page/`, served as one self-contained document."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

FOLDER = Path(__file__).with_name("page")
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)


def document() -> str:
    """The page with its style and script inside."""
    text = (FOLDER / "chat.html").read_text()
    text = text.replace("/*STYLE*/", (FOLDER / "chat.css").read_text())
    scripts = "\n".join(p.read_text() for p in sorted(FOLDER.glob("*.js")))
    return text.replace("/*SCRIPT*/", scripts)


def handler() -> web.AbstractRouteDef:
    """GET /."""

    async def show(_: web.Request) -> web.Response:
        headers = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff"}
        return web.Response(text=document(), content_type="text/html", headers=headers)

    return web.get("/", show)
