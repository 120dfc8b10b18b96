"""Coming and going: members leave, the bot is kicked or invited, a server has an outage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.loopback import objects
from bot.loopback.service import GUILD_MEMBERS, GUILDS
from bot.loopback.world import Membership, Overwrite

if TYPE_CHECKING:
    from bot.loopback.service import Service
    from bot.loopback.world import Channel, Guild


def leave(service: Service, guild: Guild, user_id: int) -> None:
    """A member, or the bot itself, leaves or is removed."""
    if guild.members.pop(user_id, None) is None:
        return
    if user_id == service.world.bot_id:
        service.gateway.dispatch("GUILD_DELETE", {"id": str(guild.id)}, intent=GUILDS)
        for command in [c for c in service.world.commands.values() if c.guild_id == guild.id]:
            del service.world.commands[command.id]
    elif service.world.bot_id in guild.members:
        data = {"guild_id": str(guild.id), "user": objects.user(service.world.users[user_id])}
        service.tell_bot("GUILD_MEMBER_REMOVE", data, intent=GUILD_MEMBERS)
    service.tell_people("MEMBER_LEFT", {"guild_id": str(guild.id), "user_id": str(user_id)})


def join(service: Service, guild: Guild, user_id: int) -> None:
    """A member comes, or the bot is invited (its role must be among the server's)."""
    if user_id in guild.members:
        return
    bot_roles = [r.id for r in guild.roles.values() if r.managed] if user_id == service.world.bot_id else []
    guild.members[user_id] = Membership(user_id=user_id, joined_at=service.clock.now(), role_ids=bot_roles)
    if user_id == service.world.bot_id:
        # without `unavailable`: that is how a client tells a new server from one that is back
        data = {k: v for k, v in service.gateway.guild_create(guild).items() if k != "unavailable"}
        service.gateway.dispatch("GUILD_CREATE", data, intent=GUILDS)
    service.tell_people("MEMBER_JOINED", {"guild_id": str(guild.id), "user_id": str(user_id)})


def outage(service: Service, guild: Guild, *, unavailable: bool) -> None:
    """A server goes away for everybody, or comes back."""
    guild.unavailable = unavailable
    if unavailable:
        service.gateway.dispatch("GUILD_DELETE", {"id": str(guild.id), "unavailable": True}, intent=GUILDS)
    else:
        service.gateway.dispatch("GUILD_CREATE", service.gateway.guild_create(guild), intent=GUILDS)


def overwrite(service: Service, place: Channel, *, target_id: int, kind: int, allow: int, deny: int) -> None:
    """Change what a channel allows or denies to a role (kind 0) or a member (kind 1)."""
    if allow or deny:
        place.overwrites[target_id] = Overwrite(id=target_id, kind=kind, allow=allow, deny=deny)
    else:
        place.overwrites.pop(target_id, None)
    service.tell_bot("CHANNEL_UPDATE", objects.channel(service.world, place), intent=GUILDS)
    service.tell_people("CHANNEL_UPDATE", {"id": str(place.id)}, place=place)
