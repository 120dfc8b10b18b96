"""Emoji under messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.loopback import sayings
from bot.loopback.failures import Refusal
from bot.loopback.service import DIRECT_REACTIONS, GUILD_REACTIONS
from bot.loopback.world import DM, JSON, Channel, Message, Reaction

if TYPE_CHECKING:
    from bot.loopback.service import Service

MAX_KINDS = 20
MAX_EMOJI_LENGTH = 16


def check_emoji(key: str) -> str:
    """The key of a reaction as it came in a path; a word or an emoji of an unknown server is 10014."""
    symbols = [c for c in key if ord(c) > 0x2000 or c in "\u00a9\u00ae"]
    if not symbols or len(key) > MAX_EMOJI_LENGTH or any(c.isalpha() and ord(c) < 0x80 for c in key):  # ASCII
        raise Refusal(10014)
    return key


def react(service: Service, said: Message, user_id: int, key: str) -> None:
    """Put an emoji under a message; doing it twice changes nothing.

    Raises:
        Refusal: 10014, 30010 at the 21st kind, 50083 in an archived thread, 50013 without the permission.
    """
    place = _open_place(service, said)
    if said.visible_to is not None:
        raise Refusal(10008)
    found = next((r for r in said.reactions if r.emoji == check_emoji(key)), None)
    if found is None:
        service.need(place, user_id, "ADD_REACTIONS", "READ_MESSAGE_HISTORY")
        if len(said.reactions) >= MAX_KINDS:
            raise Refusal(30010)
        found = Reaction(emoji=key)
        said.reactions.append(found)
    service.need(place, user_id, "READ_MESSAGE_HISTORY")
    if user_id in found.user_ids:
        return
    found.user_ids.append(user_id)
    data = _event(said, place, user_id, key) | {
        "message_author_id": str(said.author_id),
        "burst": False,
        "type": 0,
    }
    if place.guild_id:
        data["member"] = service.member(place.guild_id, user_id)
    _tell(service, "MESSAGE_REACTION_ADD", data, place)


def unreact(service: Service, said: Message, user_id: int, key: str) -> None:
    """Take one's emoji back; without one nothing happens."""
    place = _open_place(service, said)
    found = next((r for r in said.reactions if r.emoji == check_emoji(key)), None)
    if found is None or user_id not in found.user_ids:
        return
    found.user_ids.remove(user_id)
    said.reactions = [r for r in said.reactions if r.user_ids]
    _tell(
        service,
        "MESSAGE_REACTION_REMOVE",
        _event(said, place, user_id, key) | {"burst": False, "type": 0},
        place,
    )


def clear(service: Service, said: Message, key: str | None = None) -> None:
    """Take away all emoji, or all of one kind."""
    place = service.world.channels[said.channel_id]
    said.reactions = [r for r in said.reactions if key is not None and r.emoji != key]
    event = "MESSAGE_REACTION_REMOVE_ALL" if key is None else "MESSAGE_REACTION_REMOVE_EMOJI"
    data = {k: v for k, v in _event(said, place, 0, key or "").items() if k != "user_id"}
    _tell(service, event, data if key is not None else {k: v for k, v in data.items() if k != "emoji"}, place)


def _open_place(service: Service, said: Message) -> Channel:
    place = service.world.channels[said.channel_id]
    if place.thread and place.thread.archived:
        raise Refusal(50083)
    return place


def _event(said: Message, place: Channel, user_id: int, key: str) -> JSON:
    data: JSON = {
        "user_id": str(user_id),
        "channel_id": str(place.id),
        "message_id": str(said.id),
        "emoji": sayings.emoji(key),
    }
    return data | {"guild_id": str(place.guild_id)} if place.guild_id else data


def _tell(service: Service, event: str, data: JSON, place: Channel) -> None:
    intent = DIRECT_REACTIONS if place.kind == DM else GUILD_REACTIONS
    service.tell_bot(event, data, intent=intent, place=place)
    seen = {"id": data["message_id"], "emoji": data.get("emoji", {}).get("name"), "user_id": data.get("user_id")}
    service.tell_people(event, seen, place=place)
