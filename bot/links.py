"""Signed links to what the bot's own web pages serve: a file for one member for some minutes, an order's page for good."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from sqlmodel import Session

from bot.parts import Parts
from storage.switches import locked

KEY_SWITCH = "link_key"


def link_key(session: Session) -> bytes:
    """The key of this installation's links, made at first use."""
    switch = locked(session, KEY_SWITCH, "")
    if not switch.value:
        switch.value = secrets.token_hex(32)
    return bytes.fromhex(switch.value)


@dataclass(frozen=True, kw_only=True)
class FileLink:
    """What a file link says: which file, for whom, until when."""

    order_id: str
    step: int
    role: str
    member_id: str
    expires: int
    """Unix seconds."""

    def text(self) -> str:
        """What is signed."""
        return f"file|{self.order_id}|{self.step}|{self.role}|{self.member_id}|{self.expires}"


@dataclass(frozen=True, kw_only=True)
class Links:
    """Makes and checks links. `address` is where members reach the web pages, without a slash at its end."""

    key: bytes
    address: str

    def file(self, order_id: str, step: int, role: str, member_id: str, seconds: float) -> str:
        """A link to one file for one member, good for so many seconds."""
        link = FileLink(
            order_id=order_id, step=step, role=role, member_id=member_id, expires=int(time.time() + seconds)
        )
        query = urlencode({"m": link.member_id, "e": link.expires, "s": self._sign(link.text())})
        return f"{self.address}/files/{quote(order_id)}/{step}/{quote(role)}?{query}"

    def page(self, order_id: str) -> str:
        """The link to an order's page: whoever has it may look, nobody can guess it."""
        return f"{self.address}/orders/{quote(order_id)}/{self.page_token(order_id)}"

    def page_token(self, order_id: str) -> str:
        """The unguessable part of an order's page."""
        return self._sign(f"page|{order_id}")[:32]

    def good_file(self, link: FileLink, signature: str) -> bool:
        """Whether a link was made by us and has not run out."""
        return _same(self._sign(link.text()), signature) and time.time() < link.expires

    def good_page(self, order_id: str, token: str) -> bool:
        """Whether a page's token is ours."""
        return _same(self.page_token(order_id), token)

    def _sign(self, text: str) -> str:
        return hmac.new(self.key, text.encode(), hashlib.sha256).hexdigest()


def _same(ours: str, given: str) -> bool:
    """In constant time. Bytes, because `compare_digest` takes no text outside ASCII."""
    return hmac.compare_digest(ours.encode(), given.encode(errors="replace"))


async def links_of(parts: Parts) -> Links | None:
    """The links of this bot; None where members cannot reach its web pages."""
    if parts.settings.public_url is None:
        return None
    return Links(key=await parts.database.transact(link_key), address=parts.settings.public_url)
