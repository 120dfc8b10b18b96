"""What every page of ours is framed by: one HTML text with its style, that asks nothing of any server and runs no script."""

from __future__ import annotations

import base64
import io
from functools import cache
from html import escape
from pathlib import Path

from PIL import Image

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""What a browser may load for a page: nothing but what is in it."""


def document(title: str, body: str, *, style: str = "") -> str:
    """The whole page around `body`, which is markup; `title` is a person's text. `style` follows that of every page."""
    return (
        '<!doctype html><html lang="en" dir="ltr"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="robots" content="noindex"><meta name="color-scheme" content="light dark">'
        f'<link rel="icon" href="data:,"><title>{escape(title)}</title><style>{_style()}{style}</style></head>'
        f'<body><a class="skip" href="#main">Skip to the content</a><main id="main">{body}</main></body></html>'
    )


@cache
def _style() -> str:
    return (Path(__file__).parent / "page.css").read_text("utf-8")


def image(picture: bytes, alt: str) -> str:
    """The picture itself with its size, so that nothing moves while it is decoded. `alt` is a person's text."""
    kind = "png" if picture.startswith(b"\x89PNG") else "webp" if picture[8:12] == b"WEBP" else "jpeg"
    with Image.open(io.BytesIO(picture)) as opened:
        width, height = opened.size
    data = base64.b64encode(picture).decode()
    return f'<img alt="{escape(alt)}" width="{width}" height="{height}" src="data:image/{kind};base64,{data}">'


def enlarged(name: str, inside: str, *, kind: str = "") -> str:
    """Something that stands in its place and fills the window while it is enlarged, as a popover does.

    Escape, its button and a phone's way back make it small again. Meanwhile nothing behind it can be come to.
    """
    return f'<div class="place"><div class="large {kind}" id="{name}" popover>{inside}</div></div>'


def enlarger(name: str, what: str) -> str:
    """The button that makes it large and small again. `what` is a person's text, for those who do not see where it stands."""
    return (
        f'<button type="button" class="zoom" popovertarget="{name}"><span class="to-large">Enlarge</span>'
        f'<span class="to-small">Close</span> <span class="unseen">{escape(what)}</span></button>'
    )


def pressed(name: str, picture: str) -> str:
    """A picture that is made large and small again by a press on it."""
    return f'<button type="button" class="press" popovertarget="{name}">{picture}</button>'
