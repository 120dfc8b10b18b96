"""What the bot says, part one: making people's text safe, refusals, and short answers.

Every sentence that a member reads on Discord is made in `bot/wording*.py`: functions from data to text. `wording_plan` has
the plan card, `wording_order` everything from Start to delivery. What the terminal and the page say too is in
`storage/words*.py`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from storage import words_pictures
from storage.domain.errors import Fault, OrderFault
from storage.domain.lifecycle import TABLE, Stage
from storage.domain.orders import MIN_PICTURES
from storage.words import duration

MESSAGE_LIMIT = 2000
"""Characters of one message."""
EMBED_LIMIT = 4096
"""Characters of an embed's description."""

_MARKUP = frozenset("\\*_~`|<>[]@/")
_MARKUP_AT_START = frozenset("#-+.")  # headings, lists and small print; a number with a full stop is a list too
_SPLIT = frozenset("@</")
_BLANK = "\u200b"  # a space without width: splits what would otherwise be a mention, a time stamp or a link


def escape(text: str, limit: int = 80) -> str:
    """What a person typed, as one line that cannot ping, format, link or break a message; at most `limit` characters.

    Control and direction characters go, markup is escaped, and an invisible space stands behind every `@`, `<` and `/`, so
    that no mention, no time stamp and no address is recognised.
    """
    kept = "".join(_visible(c) for c in unicodedata.normalize("NFC", text))
    out: list[str] = []
    used = 0
    at_start = True
    for c in re.sub(r" +", " ", kept).strip():
        piece = _escaped(c, at_start=at_start)
        at_start = at_start and c.isdigit()
        used += _length(piece)
        if used > limit - 1:
            return "".join(out).rstrip() + "…" if limit > 0 else ""
        out.append(piece)
    return "".join(out)


def _visible(c: str) -> str:
    kind = unicodedata.category(c)
    return " " if kind in ("Cc", "Zl", "Zp", "Zs") else "" if kind in ("Cf", "Cs", "Co", "Cn") else c


def _escaped(c: str, *, at_start: bool) -> str:
    if c in _MARKUP or (at_start and c in _MARKUP_AT_START):
        return f"\\{c}{_BLANK}" if c in _SPLIT else f"\\{c}"
    return c


def _length(text: str) -> int:
    """Length as Discord may count it: characters outside the basic plane as two."""
    return len(text) + sum(ord(c) > 0xFFFF for c in text)


def clip(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """A whole message cut at a line's end where it is too long; the last resort, lists are shortened before."""
    if _length(text) <= limit:
        return text
    lines: list[str] = []
    for line in text.splitlines():
        if _length("\n".join([*lines, line])) > limit - 2:
            break
        lines.append(line)
    return ("\n".join(lines) + "\n…") if lines else text[: limit // 2 - 1] + "…"


def listed(items: Sequence[str], most: int) -> list[str]:
    """At most `most` of the items, and how many more there are."""
    if len(items) <= most:
        return list(items)
    return [*items[:most], f"… and {len(items) - most} more"]


def pictures(count: int) -> str:
    """A number of pictures in words."""
    return "1 picture" if count == 1 else f"{count} pictures"


def mention(user_id: str | int) -> str:
    """The only mention that is ever made: the order's owner."""
    return f"<@{int(user_id)}>"


def when(instant: datetime) -> str:
    """An instant that every reader sees in their own time zone, with how far away it is."""
    stamp = int(instant.timestamp())
    return f"<t:{stamp}:f> (<t:{stamp}:R>)"


# -- pictures


def picture_refused(name: str, fault: str, detail: str = "") -> str:
    """Why one picture is not used, by its name, and what to do."""
    return words_pictures.picture_refused(escape(name, 60), fault, escape(detail, 80))


def pictures_refused(refused: Sequence[tuple[str, str, str]]) -> list[str]:
    """The same for all pictures of an order that are not used: (name, fault, detail) each."""
    return words_pictures.pictures_refused([(escape(n, 60), fault, escape(d, 80)) for n, fault, d in refused])


# -- orders

_ORDER: dict[OrderFault, str] = {
    OrderFault.TOO_FEW_PICTURES: f"At least {MIN_PICTURES} good pictures are needed. Add some with “Add pictures”.",
    OrderFault.CHANNEL_NOT_ALLOWED: "The moderators of this server take orders in other channels only.",
    OrderFault.SERVER_NOT_ALLOWED: "The people who run this bot have not opened it for this server. They can add it to their list.",
    OrderFault.ALREADY_RUNNING: "You already have as many orders here as one member may have waiting or training. Start this one "
    "when one is done, or cancel one with /cancel.",
    OrderFault.CONSENT_MISSING: "For pictures of a person I need your word on consent first. Press Start and agree.",
    OrderFault.DISK_FULL: "There is no room for more pictures at the moment. The people who run this bot need to free some; "
    "please try again later.",
    OrderFault.NOT_YOURS: "Only the person who made this order can do that.",
    OrderFault.TOO_LATE: "That is no longer possible for this order.",
    OrderFault.UNKNOWN: "I do not know that order (any more).",
}


def order_refused(fault: OrderFault, detail: str = "") -> str:
    """Why an order is not taken, and what to do."""
    return f"{_ORDER[fault]} ({escape(detail, 200)})" if detail else _ORDER[fault]


def channels_allowed(channel_ids: Sequence[str]) -> str:
    """Where `/train` is taken."""
    places = ", ".join(f"<#{int(c)}>" for c in channel_ids[:10])
    return f"The moderators of this server take orders in other channels only: {places}."


PERMISSION_WORDS: dict[str, str] = {
    "view_channel": "View Channel",
    "send_messages": "Send Messages",
    "send_messages_in_threads": "Send Messages in Threads",
    "create_public_threads": "Create Public Threads",
    "attach_files": "Attach Files",
    "add_reactions": "Add Reactions",
    "read_message_history": "Read Message History",
    "embed_links": "Embed Links",
}
"""What the bot needs in a channel: discord.py's name and the name in Discord's settings."""


def permissions_missing(names: Sequence[str], again: str = "press Start again") -> str:
    """Which permissions a moderator has to give."""
    needed = ", ".join(PERMISSION_WORDS[n] for n in names)
    return (
        f"I cannot do this yet: in this channel I still need {needed}. "
        f"A moderator can allow that in the channel's settings; then {again}."
    )


# -- short answers

WHAT_DO_THEY_SHOW = "Thank you! What do the pictures show?"
CHECKING = "Thank you! I am looking at your pictures; the plan comes into this channel in a moment."
ADDING = "Thank you! I am looking at the new pictures; the plan will change in a moment."
NO_PICTURES = "There was no picture in that. Attach some, or use /train without attachments to upload up to 30 at once."
TOO_MANY_TRIES = "This order has seen too many files. Cancel it and begin a new one with /train."
STARTED_ALREADY = "This order is started already; its thread tells how it goes."
PICTURES_STILL_COMING = "I am still looking at some of the pictures; please press Start again in a moment."
RETRYING = "It goes into the queue once more, on the kept pictures."
OLD_BUTTON = "This button belongs to something that is over. /status shows your orders."
TROUBLE = "Something went wrong on my side; it has been noted. Please try again in a moment."
NO_THREADS_HERE = (
    "An order needs a thread, and in this channel there can be none. "
    "Use /train in a text channel or in a thread of one."
)
THREADS_FULL = (
    "This server has as many open threads as Discord allows, so I cannot open one for your order. When some are archived, press "
    "Start again."
)
NO_THREAD_ALLOWED = (
    "I am not allowed to open a thread for your order here. When a moderator has allowed it, press Start again."
)
SERVERS_ONLY = "I work in servers only, where people can vote."
MODERATORS_ONLY = "Only moderators can do that (Manage Server or Manage Messages)."
MODERATORS_OF_THE_CHANNEL = (
    "Only moderators of the channel that this order was made in can do that (Manage Messages there)."
)
MANAGERS_ONLY = "Only those who may manage the server can change its settings (Manage Server)."
NOTHING_TO_CANCEL = (
    "You have no order here that waits or trains. To stop one that is being voted on, choose it: /cancel order."
)


def goodbye(server: str) -> str:
    """Said before leaving a server that the operator has not listed."""
    return (
        f"Hello {escape(server)}! The people who run me have not opened me for this server yet, so I am leaving again. "
        "They can add it to their list."
    )


def too_many_drafts(count: int) -> str:
    """A member left too many plans without an answer."""
    return f"You have {count} plans here that wait for Start. Start or cancel one of them first; /status lists them."


By = Literal["owner", "moderator", "system"]
"""Who stopped an order; the system where nobody did: its owner left, or the bot was removed from the server."""


def who_cancelled(cancel_by: str | None) -> By:
    """Read from the row of an order."""
    if cancel_by == "system":
        return "system"
    return "moderator" if (cancel_by or "").startswith("moderator:") else "owner"


def cancelled(name: str, *, by: By, reason: str = "") -> str:
    """An order was cancelled."""
    who = {"owner": "Cancelled:", "moderator": "A moderator stopped", "system": "I stopped"}[by]
    why = f" Reason: {escape(reason, 300)}" if reason else ""
    return f"{who} “{escape(name)}”. Its pictures are deleted.{why}"


def cancelled_before(name: str) -> str:
    """Asked to stop what was stopped before: nothing was done."""
    return f"“{escape(name)}” was stopped already; there is nothing left to stop."


def removed(name: str, reason: str, left: int = 0) -> str:
    """A moderator removed an order with all its files; so many of its messages could not be deleted yet."""
    why = f" Reason: {escape(reason, 300)}" if reason else ""
    messages = "1 message of it" if left == 1 else f"{left} messages of it"
    still = f" {messages} could not be deleted yet; I try again for a week." if left else ""
    return f"A moderator removed “{escape(name)}” and all its files.{why}{still}"


def order_line(name: str, order_id: str, stage: str, extra: str = "") -> str:
    """One order in one line of a list."""
    return f"**{escape(name)}** (`{order_id}`): {TABLE[Stage(stage)].sight}{extra}"


def in_line(place: int, wait_s: float | None) -> str:
    """A place in the queue."""
    when = f", starts in about {duration(wait_s)}" if wait_s else ""
    return "next in line" + when if place == 1 else f"number {place} in line{when}"


def fault_words(fault: str | None) -> str:
    """Whose fault a failed order is."""
    words = {
        Fault.PICTURES: "the pictures",
        Fault.MACHINE: "the machine, not you or your pictures",
        Fault.PROGRAM: "the program, not you or your pictures",
    }
    return words[Fault(fault)] if fault else words[Fault.PROGRAM]


# -- settings


def channel_settings(channel_ids: Sequence[str]) -> str:
    """Where orders are taken from now on."""
    if not channel_ids:
        return "Orders are taken in every channel that I can use."
    return f"Orders are taken in {', '.join(f'<#{int(c)}>' for c in channel_ids)} only."


def consent_settings(line: str) -> str:
    """What people agree to before a person is trained, from now on; empty is the standard sentence."""
    return (
        f"People will be asked to agree to:\n> {escape(line, 900)}"
        if line
        else "People will be asked the standard sentence."
    )


def mentions_set(*, on: bool) -> str:
    """Whether the member is mentioned."""
    return "I will mention you when your own orders need you." if on else "I will not mention you any more."
