"""What the bot says, part one: making people's text safe, refusals, and short answers.

Every sentence that a member reads on Discord is made in `bot/wording*.py`: functions from data to text, such as
`wording_plan` for the plan card, `wording_order` from Start to the choice, `wording_delivery` for what is handed over. What
the terminal and the page say too is in `storage/words*.py`. They say it in the language in force: `storage.speech`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from storage import words_pictures
from storage.domain.errors import OrderFault
from storage.domain.lifecycle import Stage
from storage.domain.orders import MIN_PICTURES
from storage.speech import Sentence, _, later, ngettext, translated
from storage.words import aside, duration, stage_words

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
    return [*items[:most], ngettext("… and {count} more", "… and {count} more", len(items) - most)]


def pictures(count: int) -> str:
    """A number of pictures in words."""
    return ngettext("{count} picture", "{count} pictures", count)


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

_ORDER: dict[OrderFault, Sentence] = {
    OrderFault.TOO_FEW_PICTURES: later("At least {least} good pictures are needed. Add some with “Add pictures”."),
    OrderFault.CHANNEL_NOT_ALLOWED: later("The moderators of this server take orders in other channels only."),
    OrderFault.SERVER_NOT_ALLOWED: later(
        "The people who run this bot have not opened it for this server. They can add it to their list."
    ),
    OrderFault.ALREADY_RUNNING: later(
        "You already have as many orders here as one member may have waiting or training. Start this one "
        "when one is done, or cancel one with /cancel."
    ),
    OrderFault.CONSENT_MISSING: later(
        "For pictures of a person I need your word on consent first. Press Start and agree."
    ),
    OrderFault.DISK_FULL: later(
        "There is no room for more pictures at the moment. The people who run this bot need to free some; "
        "please try again later."
    ),
    OrderFault.NOT_YOURS: later("Only the person who made this order can do that."),
    OrderFault.TOO_LATE: later("That is no longer possible for this order."),
    OrderFault.UNKNOWN: later("I do not know that order (any more)."),
}


def order_refused(fault: OrderFault, detail: str = "") -> str:
    """Why an order is not taken, and what to do."""
    said = _ORDER[fault](least=MIN_PICTURES)
    more = escape(aside(detail), 200)
    return _("{sentence} ({aside})", sentence=said, aside=more) if more else said


def channels_allowed(channel_ids: Sequence[str]) -> str:
    """Where `/train` is taken."""
    places = ", ".join(f"<#{int(c)}>" for c in channel_ids[:10])
    return _("The moderators of this server take orders in other channels only: {places}.", places=places)


PERMISSION_WORDS: dict[str, Sentence] = {
    "view_channel": later("View Channel"),
    "send_messages": later("Send Messages"),
    "send_messages_in_threads": later("Send Messages in Threads"),
    "create_public_threads": later("Create Public Threads"),
    "attach_files": later("Attach Files"),
    "add_reactions": later("Add Reactions"),
    "read_message_history": later("Read Message History"),
    "embed_links": later("Embed Links"),
}
"""What the bot needs in a channel: discord.py's name and the name in Discord's settings."""
_PRESS_START, _USE_TRAIN = later("press Start again"), later("use /train again")


def permissions_missing(names: Sequence[str], *, before_start: bool = False) -> str:
    """Which permissions a moderator has to give; `before_start`: the order is asked for, and not there yet."""
    return _(
        "I cannot do this yet: in this channel I still need {needed}. "
        "A moderator can allow that in the channel's settings; then {again}.",
        needed=", ".join(PERMISSION_WORDS[n]() for n in names),
        again=(_USE_TRAIN if before_start else _PRESS_START)(),
    )


# -- short answers

WHAT_DO_THEY_SHOW = later("Thank you! What do the pictures show?")
CHECKING = later("Thank you! I am looking at your pictures; the plan comes into this channel in a moment.")
ADDING = later("Thank you! I am looking at the new pictures; the plan will change in a moment.")
NO_PICTURES = later(
    "There was no picture in that. Attach some, or use /train without attachments to upload up to 30 at once."
)
TOO_MANY_TRIES = later("This order has seen too many files. Cancel it and begin a new one with /train.")
STARTED_ALREADY = later("This order is started already; its thread tells how it goes.")
PICTURES_STILL_COMING = later("I am still looking at some of the pictures; please press Start again in a moment.")
RETRYING = later("It goes into the queue once more, on the kept pictures.")
OLD_BUTTON = later("This button belongs to something that is over. /status shows your orders.")
TROUBLE = later("Something went wrong on my side; it has been noted. Please try again in a moment.")
NO_THREADS_HERE = later(
    "An order needs a thread, and in this channel there can be none. "
    "Use /train in a text channel or in a thread of one."
)
THREADS_FULL = later(
    "This server has as many open threads as Discord allows, so I cannot open one for your order. When some are archived, press "
    "Start again."
)
NO_THREAD_ALLOWED = later(
    "I am not allowed to open a thread for your order here. When a moderator has allowed it, press Start again."
)
SERVERS_ONLY = later("I work in servers only, where people can vote.")
MODERATORS_ONLY = later("Only moderators can do that (Manage Server or Manage Messages).")
MODERATORS_OF_THE_CHANNEL = later(
    "Only moderators of the channel that this order was made in can do that (Manage Messages there)."
)
MANAGERS_ONLY = later("Only those who may manage the server can change its settings (Manage Server).")
NOTHING_TO_CANCEL = later(
    "You have no order here that waits or trains. To stop one that is being voted on, choose it: /cancel order."
)


def goodbye(server: str) -> str:
    """Said before leaving a server that the operator has not listed."""
    return _(
        "Hello {server}! The people who run me have not opened me for this server yet, so I am leaving again. "
        "They can add it to their list.",
        server=escape(server),
    )


def too_many_drafts(count: int) -> str:
    """A member left too many plans without an answer."""
    return ngettext(
        "You have {count} plan here that waits for Start. Start or cancel it first; /status lists it.",
        "You have {count} plans here that wait for Start. Start or cancel one of them first; /status lists them.",
        count,
    )


By = Literal["owner", "moderator", "system"]
"""Who stopped an order; the system where nobody did: its owner left, or the bot was removed from the server."""


def who_cancelled(cancel_by: str | None) -> By:
    """Read from the row of an order."""
    if cancel_by == "system":
        return "system"
    return "moderator" if (cancel_by or "").startswith("moderator:") else "owner"


_WHO: dict[By, Sentence] = {
    "owner": later("Cancelled: “{name}”. Its pictures are deleted."),
    "moderator": later("A moderator stopped “{name}”. Its pictures are deleted."),
    "system": later("I stopped “{name}”. Its pictures are deleted."),
}


def cancelled(name: str, *, by: By, reason: str = "") -> str:
    """An order was cancelled. A reason of ours is in the catalogues; a moderator's stays as it was typed."""
    return _with_reason(_WHO[by](name=escape(name)), translated(reason) if by == "system" else escape(reason, 300))


def _with_reason(said: str, shown: str) -> str:
    return said + (" " + _("Reason: {reason}", reason=shown) if shown else "")


def cancelled_before(name: str) -> str:
    """Asked to stop what was stopped before: nothing was done."""
    return _("“{name}” was stopped already; there is nothing left to stop.", name=escape(name))


def removed(name: str, reason: str, left: int = 0) -> str:
    """A moderator removed an order with all its files; so many of its messages could not be deleted yet."""
    said = _with_reason(_("A moderator removed “{name}” and all its files.", name=escape(name)), escape(reason, 300))
    still = ngettext(
        "{count} message of it could not be deleted yet; I try again for a week.",
        "{count} messages of it could not be deleted yet; I try again for a week.",
        left,
    )
    return f"{said} {still}" if left else said


def order_line(name: str, order_id: str, stage: str, extra: str = "") -> str:
    """One order in one line of a list."""
    return _("**{name}** (`{id}`): {what}", name=escape(name), id=order_id, what=stage_words(Stage(stage)) + extra)


def in_line(place: int, wait_s: float | None) -> str:
    """A place in the queue."""
    if not wait_s:
        return _("next in line") if place == 1 else _("number {place} in line", place=place)
    if place == 1:
        return _("next in line, starts in about {time}", time=duration(wait_s))
    return _("number {place} in line, starts in about {time}", place=place, time=duration(wait_s))
