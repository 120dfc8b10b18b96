"""The world's things in the form in which Discord sends them over HTTP and the gateway. Pure: a thing in, JSON out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.loopback.permissions import in_channel
from bot.loopback.snowflakes import created_at, iso
from bot.loopback.world import DM, JSON, VOICE

if TYPE_CHECKING:
    from bot.loopback.world import Channel, Command, Guild, Membership, Role, User, World

MAX_MEMBERS = 500_000


def user(person: User) -> JSON:
    """UserResponse."""
    body: JSON = {
        "id": str(person.id),
        "username": person.name,
        "global_name": person.display_name,
        "avatar": None,
        "discriminator": "0",
        "public_flags": 0,
        "flags": 0,
        "primary_guild": None,
    }
    return body | {"bot": True} if person.bot else body


def own_user(person: User) -> JSON:
    """UserPIIResponse, what `users/@me` says."""
    return user(person) | {"mfa_enabled": True, "locale": person.locale, "verified": True, "email": None}


def role(item: Role) -> JSON:
    """GuildRoleResponse."""
    return {
        "id": str(item.id),
        "name": item.name,
        "permissions": str(item.permissions),
        "position": item.position,
        "color": 0,
        "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
        "hoist": False,
        "managed": item.managed,
        "mentionable": False,
        "icon": None,
        "unicode_emoji": None,
        "flags": 0,
    }


def member(world: World, membership: Membership) -> JSON:
    """GuildMemberResponse."""
    return {
        "user": user(world.users[membership.user_id]),
        "nick": None,
        "avatar": None,
        "banner": None,
        "communication_disabled_until": None,
        "flags": 0,
        "joined_at": iso(membership.joined_at),
        "pending": False,
        "premium_since": None,
        "roles": [str(r) for r in membership.role_ids],
        "mute": False,
        "deaf": False,
    }


def guild(server: Guild) -> JSON:
    """GuildResponse."""
    empty = ("icon", "description", "home_header", "splash", "discovery_splash", "banner", "application_id")
    no_channel = ("afk_channel_id", "system_channel_id", "widget_channel_id", "rules_channel_id")
    unset = (
        "safety_alerts_channel_id",
        "public_updates_channel_id",
        "vanity_url_code",
        "max_presences",
        "incidents_data",
    )
    return dict.fromkeys((*empty, *no_channel, *unset)) | {
        "id": str(server.id),
        "name": server.name,
        "owner_id": str(server.owner_id),
        "features": [],
        "region": "deprecated",
        "afk_timeout": 300,
        "system_channel_flags": 0,
        "widget_enabled": False,
        "verification_level": 0,
        "roles": [role(r) for r in server.roles.values()],
        "default_message_notifications": 1,
        "mfa_level": 0,
        "explicit_content_filter": 0,
        "max_members": MAX_MEMBERS,
        "max_stage_video_channel_users": 50,
        "max_video_channel_users": 25,
        "premium_tier": server.premium_tier,
        "premium_subscription_count": 0,
        "preferred_locale": server.locale,
        "premium_progress_bar_enabled": False,
        "nsfw": False,
        "nsfw_level": 0,
        "emojis": [],
        "stickers": [],
    }


def channel(world: World, place: Channel, *, for_user: int | None = None) -> JSON:
    """GuildChannelResponse, ThreadResponse or PrivateChannelResponse; `for_user` adds their permissions."""
    body: JSON = {"id": str(place.id), "type": place.kind, "flags": 0, "last_message_id": _text(place.last_message_id)}
    if place.kind == DM:
        return body | {"recipients": [user(world.users[u]) for u in place.recipients if u != world.bot_id]}
    if for_user is not None:
        body["permissions"] = str(in_channel(world, place, for_user))
    body |= {"guild_id": str(place.guild_id), "name": place.name, "parent_id": _text(place.parent_id)}
    if place.thread:
        return body | _thread_part(world, place)
    if place.kind == VOICE:
        body |= {"bitrate": 64_000, "user_limit": 0, "rtc_region": None}
    return body | {
        "position": place.position,
        "topic": None,
        "nsfw": place.nsfw,
        "rate_limit_per_user": 0,
        "permission_overwrites": [
            {"id": str(o.id), "type": o.kind, "allow": str(o.allow), "deny": str(o.deny)}
            for o in place.overwrites.values()
        ],
    }


def _thread_part(world: World, place: Channel) -> JSON:
    state = place.thread
    assert state is not None  # noqa: S101  # the caller asked
    body: JSON = {
        "owner_id": str(state.owner_id),
        "rate_limit_per_user": 0,
        "thread_metadata": {
            "archived": state.archived,
            "archive_timestamp": iso(state.archived_at),
            "auto_archive_duration": state.auto_archive_min,
            "locked": state.locked,
            "create_timestamp": iso(state.created_at),
        },
        "message_count": state.messages_sent,
        "member_count": len(state.member_ids),
        "total_message_sent": state.messages_sent,
    }
    if world.bot_id in state.member_ids:
        body["member"] = thread_member(place, world.bot_id)
    return body


def thread_member(place: Channel, user_id: int) -> JSON:
    """ThreadMemberResponse."""
    joined = iso(place.thread.created_at if place.thread else created_at(place.id))
    return {"id": str(place.id), "user_id": str(user_id), "join_timestamp": joined, "flags": 1}


def command(world: World, item: Command) -> JSON:
    """ApplicationCommandResponse."""
    kept = {k: v for k, v in item.definition.items() if v is not None and k not in {"id", "default_member_permissions"}}
    needed = item.definition.get("default_member_permissions")
    body = kept | {
        "id": str(item.id),
        "application_id": str(world.application_id),
        "version": str(item.version),
        "type": item.kind,
        "description": item.definition.get("description") or "",
        "default_member_permissions": None if needed is None else str(needed),
    }
    return body | {"guild_id": str(item.guild_id)} if item.guild_id else body


def _text(snowflake: int | None) -> str | None:
    return None if snowflake is None else str(snowflake)
