"""What the bot needs to be allowed in a server, and the link by which a server invites it with exactly that."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import discord

from bot.wording import PERMISSION_WORDS

SCOPES = ("bot", "applications.commands")


def needed() -> discord.Permissions:
    """What it uses and nothing else."""
    return discord.Permissions(**dict.fromkeys(PERMISSION_WORDS, True))


def invite_link(application_id: int) -> str:
    """For the owner of a server, to open in a browser."""
    return discord.utils.oauth_url(application_id, permissions=needed(), scopes=SCOPES)


def missing(granted: int) -> list[str]:
    """Which of the needed permissions a set lacks, in the words of Discord's settings."""
    has = discord.Permissions(granted)
    return [
        name.replace("_", " ").title().replace(" In ", " in ") for name in PERMISSION_WORDS if not getattr(has, name)
    ]


Row = Mapping[str, Any]
"""An object of Discord's REST interface as it came."""


def in_channel(guild: Row, channel: Row, member_id: str, role_ids: Collection[str]) -> int:
    """The permissions of a member in a channel.

    Roles, then the channel's overwrites of everyone, of the member's roles, and of the member:
    https://discord.com/developers/docs/topics/permissions#permission-overwrites
    """
    everything = discord.Permissions.all().value
    if guild["owner_id"] == member_id:
        return everything
    mine = {guild["id"], *role_ids}
    granted = 0
    for role in guild["roles"]:
        granted |= int(role["permissions"]) if role["id"] in mine else 0
    if granted & discord.Permissions.administrator.flag:
        return everything
    overwrites = {row["id"]: row for row in channel.get("permission_overwrites") or ()}
    granted = _overwritten(granted, [overwrites[guild["id"]]] if guild["id"] in overwrites else [])
    granted = _overwritten(granted, [overwrites[id_] for id_ in role_ids if id_ in overwrites])
    return _overwritten(granted, [overwrites[member_id]] if member_id in overwrites else [])


def _overwritten(granted: int, rows: Iterable[Row]) -> int:
    allow = deny = 0
    for row in rows:
        allow |= int(row["allow"])
        deny |= int(row["deny"])
    return (granted & ~deny) | allow
