"""The page of an order: one HTML text with everything in it, so that it can be kept, mailed and opened without a server."""

from __future__ import annotations

import re
from html import escape

from storage.page.curves import measured
from storage.page.frame import document
from storage.page.grids import flipping, grids
from storage.page.head import head
from storage.page.log import log_section
from storage.page.scale import scale_section
from storage.page.training import times_section, training_section, use_section
from storage.page.votes import votes
from storage.speech import ENGLISH, speaking
from storage.view import OrderView

SECTIONS = (
    grids, votes, scale_section, use_section, measured, log_section, training_section, times_section,
)  # fmt: skip
"""What was chosen and how to use it come before how it came about."""
HEADING = re.compile(r'<h2 id="([a-z]+)">([^<]+)</h2>')
"""Of a section that is there, as we write it: names of people are in no such heading."""


def order_page(view: OrderView) -> str:
    """The whole page. Every text of a person is escaped; the page asks nothing of any server and runs no script."""
    with speaking(ENGLISH):
        sections = "".join(section(view) for section in SECTIONS)
        body = f"{head(view)}{_contents(sections)}{sections}{_foot(view)}"
    return document(
        f"{view.name} – a LoRA by lorasmith",
        body,
        style=flipping(len(view.checkpoints)),
    )


def _contents(sections: str) -> str:
    """Links to every section that is there."""
    links = "".join(f'<li><a href="#{name}">{title}</a></li>' for name, title in HEADING.findall(sections))
    return f'<nav aria-label="On this page"><ul>{links}</ul></nav>' if links else ""


def _foot(view: OrderView) -> str:
    return (
        f"<footer>Order {escape(view.id)}, made {view.created_at:%Y-%m-%d}. Every grid was drawn and measured from the very "
        "file of its checkpoint.</footer>"
    )
