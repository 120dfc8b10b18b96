"""The world's things in the form in which Discord sends them over HTTP and the gateway. Pure: a thing in, JSON out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.loopback.permissions import in_channel
from bot.loopback.snowflakes import created_at, iso
from bot.loopback.world import COMPONENTS_V2, DM, JSON

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bot.loopback.world import Attachment, Channel, Command, Guild, Membership, Message, Reaction, Role, User, World

MAX_MEMBERS = 500_000
MEDIA_KEYS = ("media", "file")


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


def attachment(item: Attachment, link: Callable[[Attachment], str]) -> JSON:
    """MessageAttachmentResponse with a freshly signed link."""
    body: JSON = {
        "id": str(item.id),
        "filename": item.filename,
        "size": item.size,
        "url": link(item),
        "proxy_url": link(item),
        "content_type": item.content_type,
    }
    optional = {"width": item.width, "height": item.height, "description": item.description, "title": item.title}
    body |= {k: v for k, v in optional.items() if v is not None}
    return body | {"ephemeral": True} if item.ephemeral else body


def media(item: Attachment, link: Callable[[Attachment], str]) -> JSON:
    """UnfurledMediaResponse of a file that came with the message."""
    return {
        "id": str(item.id),
        "url": link(item),
        "proxy_url": link(item),
        "width": item.width,
        "height": item.height,
        "content_type": item.content_type,
        "attachment_id": str(item.id),
    }


def reaction(item: Reaction, me: int) -> JSON:
    """MessageReactionResponse as `me` sees it."""
    count = len(item.user_ids)
    return {
        "emoji": emoji(item.emoji),
        "count": count,
        "count_details": {"burst": 0, "normal": count},
        "burst_colors": [],
        "me_burst": False,
        "me": me in item.user_ids,
    }


def emoji(key: str) -> JSON:
    """A reaction's emoji: a character has no id, a server's own is `name:id`."""
    name, _, number = key.partition(":")
    return {"id": number or None, "name": name}


def message(world: World, said: Message, link: Callable[[Attachment], str], *, me: int) -> JSON:
    """MessageResponse. Files shown by an embed or a component are not listed among the attachments.

    That is Discord's rule: https://github.com/discord/discord-api-docs/pull/8279.
    """
    embeds = [_linked_embed(e, said, link) for e in said.embeds]
    components = [_linked_component(c, said, link) for c in said.components]
    shown = set(_names_used(said.embeds, embed=True)) | set(_names_used(said.components, embed=False))
    listed = [] if said.flags & COMPONENTS_V2 else [a for a in said.attachments if a.filename not in shown]
    body: JSON = {
        "id": str(said.id),
        "channel_id": str(said.channel_id),
        "type": said.kind,
        "author": user(world.users[said.author_id]),
        "content": said.content,
        "timestamp": iso(said.created_at),
        "edited_timestamp": iso(said.edited_at) if said.edited_at else None,
        "flags": said.flags,
        "tts": said.tts,
        "pinned": False,
        "mention_everyone": said.mention_everyone,
        "mentions": [user(world.users[u]) for u in said.mentions],
        "mention_roles": [],
        "attachments": [attachment(a, link) for a in listed],
        "embeds": embeds,
        "components": components,
    }
    return body | _message_extras(world, said, me=me)


def _message_extras(world: World, said: Message, *, me: int) -> JSON:
    extras: JSON = {}
    if said.reactions:
        extras["reactions"] = [reaction(r, me) for r in said.reactions]
    if said.nonce is not None:
        extras["nonce"] = said.nonce
    if said.reference:
        extras["message_reference"] = said.reference
    if said.metadata:
        extras["interaction_metadata"] = said.metadata
        extras["application_id"] = extras["webhook_id"] = str(world.application_id)
    if said.thread_id and said.thread_id in world.channels:
        extras["thread"] = channel(world, world.channels[said.thread_id])
    return extras


def _linked_embed(embed: JSON, said: Message, link: Callable[[Attachment], str]) -> JSON:
    made = dict(embed)
    for key in ("image", "thumbnail"):
        found = _attached(made.get(key), said)
        if found:
            size = {"width": found.width, "height": found.height} if found.width else {}
            made[key] = made[key] | {"url": link(found), "proxy_url": link(found), "content_type": found.content_type}
            made[key] |= size
    return made


def _linked_component(component: JSON, said: Message, link: Callable[[Attachment], str]) -> JSON:
    made = dict(component)
    for key in MEDIA_KEYS:
        found = _attached(made.get(key), said)
        if found:
            made[key] = media(found, link)
            if key == "file":
                made |= {"name": found.filename, "size": found.size}
        elif isinstance(made.get(key), dict):
            made[key] = {"id": "0", "proxy_url": made[key]["url"], **made[key]}
    for key in ("components", "items"):
        if key in made:
            made[key] = [_linked_component(c, said, link) for c in made[key]]
    if "accessory" in made:
        made["accessory"] = _linked_component(made["accessory"], said, link)
    return made


def _attached(part: JSON | None, said: Message) -> Attachment | None:
    name = (part or {}).get("url", "").removeprefix("attachment://")
    return next((a for a in said.attachments if a.filename == name), None)


def _names_used(parts: list[JSON], *, embed: bool) -> Iterator[str]:
    for part in parts:
        for key in ("image", "thumbnail") if embed else MEDIA_KEYS:
            url = (part.get(key) or {}).get("url", "")
            if url.startswith("attachment://"):
                yield url.removeprefix("attachment://")
        if not embed:
            nested = [*part.get("components", ()), *part.get("items", ()), *filter(None, [part.get("accessory")])]
            yield from _names_used(nested, embed=False)


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
