"""Who may do what: roles, then the channel's overwrites, as Discord documents it.

Source: https://discord.com/developers/docs/topics/permissions#permission-overwrites
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.loopback.world import DM

if TYPE_CHECKING:
    from bot.loopback.world import Channel, Guild, World

BITS: dict[str, int] = {
    "KICK_MEMBERS": 1 << 1,
    "ADMINISTRATOR": 1 << 3,
    "MANAGE_CHANNELS": 1 << 4,
    "MANAGE_GUILD": 1 << 5,
    "ADD_REACTIONS": 1 << 6,
    "VIEW_CHANNEL": 1 << 10,
    "SEND_MESSAGES": 1 << 11,
    "MANAGE_MESSAGES": 1 << 13,
    "EMBED_LINKS": 1 << 14,
    "ATTACH_FILES": 1 << 15,
    "READ_MESSAGE_HISTORY": 1 << 16,
    "MENTION_EVERYONE": 1 << 17,
    "USE_APPLICATION_COMMANDS": 1 << 31,
    "MANAGE_THREADS": 1 << 34,
    "CREATE_PUBLIC_THREADS": 1 << 35,
    "SEND_MESSAGES_IN_THREADS": 1 << 38,
}
EVERYTHING = (1 << 53) - 1
ORDINARY = sum(
    BITS[name]
    for name in (
        "ADD_REACTIONS",
        "VIEW_CHANNEL",
        "SEND_MESSAGES",
        "EMBED_LINKS",
        "ATTACH_FILES",
        "READ_MESSAGE_HISTORY",
        "USE_APPLICATION_COMMANDS",
        "CREATE_PUBLIC_THREADS",
        "SEND_MESSAGES_IN_THREADS",
    )
)


def in_guild(guild: Guild, user_id: int) -> int:
    """A member's permissions before any channel has its say; 0 for a stranger."""
    membership = guild.members.get(user_id)
    if membership is None:
        return 0
    if user_id == guild.owner_id:
        return EVERYTHING
    granted = guild.roles[guild.id].permissions
    for role_id in membership.role_ids:
        granted |= guild.roles[role_id].permissions
    return EVERYTHING if granted & BITS["ADMINISTRATOR"] else granted


def in_channel(world: World, channel: Channel, user_id: int) -> int:
    """A user's permissions in a channel; a thread asks its parent."""
    if channel.kind == DM:
        return ORDINARY if user_id in channel.recipients else 0
    guild = world.guilds.get(channel.guild_id or 0)
    if guild is None:
        return 0
    granted = in_guild(guild, user_id)
    if granted in (0, EVERYTHING):
        return granted
    place = world.channels.get(channel.parent_id, channel) if channel.parent_id else channel
    granted = _with_overwrites(granted, guild, place, user_id)
    return granted if granted & BITS["VIEW_CHANNEL"] else 0


def _with_overwrites(granted: int, guild: Guild, channel: Channel, user_id: int) -> int:
    everyone = channel.overwrites.get(guild.id)
    if everyone:
        granted = (granted & ~everyone.deny) | everyone.allow
    roles = [channel.overwrites[r] for r in guild.members[user_id].role_ids if r in channel.overwrites]
    allowed = denied = 0
    for overwrite in roles:
        allowed |= overwrite.allow
        denied |= overwrite.deny
    granted = (granted & ~denied) | allowed
    own = channel.overwrites.get(user_id)
    return (granted & ~own.deny) | own.allow if own else granted


def has(granted: int, *names: str) -> bool:
    """Whether all the named permissions are in a set."""
    return all(granted & BITS[name] for name in names)
