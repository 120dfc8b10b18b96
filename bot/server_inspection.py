"""Server by server: what the bot may do there, channel by channel, and whether its commands can be there at all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from bot.invitation import in_channel, invite_link, missing
from bot.questions import Questions
from bot.settings import BotSettings
from storage.domain.inspection import Remark, note, ok, wrong

MOST_SERVERS = 50
"""More are not asked about one by one: four questions each, and Discord counts them."""
TEXT_CHANNELS = (0, 5)
"""GUILD_TEXT and GUILD_ANNOUNCEMENT: where there can be threads."""
NAMED = 5
"""So many channels are named, of those that lack the same."""


async def servers(ask: Questions, settings: BotSettings, bot_id: str, application_id: int) -> list[Remark]:
    """A remark or two a server. Raises as `Questions.get`."""
    guilds = (await ask.get("/users/@me/guilds")).body or []
    if not guilds:
        return [note("servers", "it is in none", invite_link(application_id))]
    found = [] if len(guilds) <= MOST_SERVERS else [note("servers", f"{MOST_SERVERS} of {len(guilds)} were looked at")]
    for row in guilds[:MOST_SERVERS]:
        name = f"server {str(row['name'])[:60]!r}"
        if not settings.serves(int(row["id"])):
            says = "it is in this server, which LORASMITH_ALLOWED_SERVERS does not list: it leaves when it starts"
            found.append(note(name, says, f"To serve it, add {row['id']} there."))
        else:
            found += await _server(ask, str(row["id"]), name, bot_id, application_id)
    return found


async def _server(ask: Questions, guild_id: str, name: str, bot_id: str, application_id: int) -> list[Remark]:
    replies = await asyncio.gather(
        ask.get(f"/guilds/{guild_id}"),
        ask.get(f"/guilds/{guild_id}/channels"),
        ask.get(f"/guilds/{guild_id}/members/{bot_id}"),
        ask.get(f"/applications/{application_id}/guilds/{guild_id}/commands"),
    )
    guild, channels, member, commands = replies
    if any(reply.status != 200 for reply in (guild, channels, member)):
        return [note(name, f"Discord does not tell about it now ({[r.status for r in replies]})")]
    link = invite_link(application_id)
    granted = [(c, in_channel(guild.body, c, bot_id, member.body["roles"])) for c in channels.body]
    found = _channels(name, granted, link)
    if commands.status == 403:
        says = "commands are not allowed there: it was invited without the scope applications.commands"
        found.append(wrong(name, says, f"Open the invite link again, nothing is lost: {link}"))
    return found


def _channels(name: str, granted: Iterable[tuple[dict[str, Any], int]], link: str) -> list[Remark]:
    """By what is missing; channels that the bot cannot see are the moderators' wish, unless it sees none."""
    lacking: dict[tuple[str, ...], list[str]] = {}
    good = 0
    for channel, permissions in granted:
        if channel["type"] not in TEXT_CHANNELS:
            continue
        absent = tuple(missing(permissions))
        good += not absent
        if absent:
            lacking.setdefault(absent, []).append(f"#{str(channel.get('name'))[:40]}")
    hidden = [names for absent, names in lacking.items() if "View Channel" in absent]
    seen = {absent: names for absent, names in lacking.items() if "View Channel" not in absent}
    if not good:
        says = "in none of its channels the bot has everything that it needs"
        return [wrong(name, f"{says}{_what(seen)}", f"Give its role the permissions, or: {link}")]
    found = [ok(name, f"all permissions in {good} channels; {sum(map(len, hidden))} are hidden from the bot")]
    if seen:
        found.append(
            note(name, f"not everywhere{_what(seen)}", "Allow it in those channels' settings, or take no orders there.")
        )
    return found


def _what(seen: dict[tuple[str, ...], list[str]]) -> str:
    parts = [
        f"{', '.join(names[:NAMED])}{f' and {len(names) - NAMED} more' if len(names) > NAMED else ''} lack {', '.join(absent)}"
        for absent, names in seen.items()
    ]
    return ": " + "; ".join(parts) if parts else ""
