"""Messages, files and reactions in the form in which Discord sends them. Pure: a thing in, JSON out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.loopback.objects import channel, user
from bot.loopback.snowflakes import iso
from bot.loopback.world import COMPONENTS_V2, JSON

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bot.loopback.world import Attachment, Message, Reaction, World

MEDIA_KEYS = ("media", "file")


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
