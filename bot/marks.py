"""Marks of messages: by them a message of ours is found again where nothing was written down."""

from __future__ import annotations

import contextlib

import discord

from bot.parts import Parts
from bot.wording import clip

READ_BACK = 100
"""Messages that are read to find marks."""
MARK_ROOM = 40
"""Characters kept free for the mark in a text of at most 2000."""


async def marks_at(parts: Parts, place: discord.PartialMessageable) -> dict[str, int]:
    """Which of this bot's marks stand in a place's recent messages, with the messages' ids. Raises what Discord answers."""
    me = parts.discord.user
    found: dict[str, int] = {}
    empty = True
    async for message in place.history(limit=READ_BACK):
        empty = False
        if me is not None and message.author.id == me.id:
            found.update(dict.fromkeys(_marks_in(message), message.id))
    if empty:
        await must_be_readable(place)
    return found


async def must_be_readable(place: discord.PartialMessageable) -> None:
    """Raise `discord.Forbidden` where the bot may not read what was said before.

    Without that permission Discord shows no message and no error, so that everything would seem to be missing; asking for one
    message is refused.
    """
    with contextlib.suppress(discord.NotFound):
        await place.fetch_message(place.id)


def _marks_in(message: discord.Message) -> list[str]:
    last = message.content.rsplit("\n", 1)[-1]
    named = [a.filename.partition(".")[0] for a in message.attachments]
    return [*named, last.removeprefix("-# ")] if last.startswith("-# ") else named


def marked(text: str, name: str) -> str:
    """A text with its mark as the last small line, cut to what a message holds."""
    return f"{clip(text, 2000 - MARK_ROOM)}\n-# {name}"
