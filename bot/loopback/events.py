"""Gateway events held to the contract: it describes no event, but every object inside one it does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bot.loopback.contract import Contract, Problem
    from bot.loopback.world import JSON

# Which schema holds for the whole data of an event, and the keys that the gateway adds to it.
WHOLE: dict[str, tuple[str, str]] = {
    "MESSAGE_CREATE": ("MessageResponse", "guild_id member"),
    "MESSAGE_UPDATE": ("MessageResponse", "guild_id member"),
    "GUILD_CREATE": (
        "GuildResponse",
        (
            "joined_at large unavailable member_count voice_states members channels threads presences "
            "stage_instances guild_scheduled_events soundboard_sounds"
        ),
    ),
    "GUILD_UPDATE": ("GuildResponse", ""),
    "THREAD_CREATE": ("ThreadResponse", "newly_created"),
    "THREAD_UPDATE": ("ThreadResponse", ""),
    "CHANNEL_UPDATE": ("GuildChannelResponse", ""),
}
# Which schema holds for a part of an event; `*` stands for every item of a list or value of an object.
PARTS: dict[str, dict[str, str]] = {
    "READY": {"user": "UserPIIResponse"},
    "GUILD_CREATE": {
        "channels.*": "GuildChannelResponse",
        "threads.*": "ThreadResponse",
        "members.*": "GuildMemberResponse",
    },
    "MESSAGE_REACTION_ADD": {"member": "GuildMemberResponse", "emoji": "MessageReactionEmojiResponse"},
    "MESSAGE_REACTION_REMOVE": {"emoji": "MessageReactionEmojiResponse"},
    "GUILD_MEMBER_REMOVE": {"user": "UserResponse"},
    "GUILD_ROLE_UPDATE": {"role": "GuildRoleResponse"},
    "INTERACTION_CREATE": {
        "user": "UserResponse",
        "member": "GuildMemberResponse",
        "message": "MessageResponse",
        "data.resolved.attachments.*": "MessageAttachmentResponse",
        "data.resolved.messages.*": "MessageResponse",
        "data.resolved.users.*": "UserResponse",
    },
}
# Keys that the gateway adds to a part: a member's permissions where an interaction happened.
ADDED = {"member": "permissions"}


def problems(contract: Contract, event: str, data: JSON) -> Iterator[Problem]:
    """Where an event's data leaves the contract."""
    if event in WHOLE:
        schema, added = WHOLE[event]
        yield from contract.part_problems(schema, _without(data, added))
    for path, schema in PARTS.get(event, {}).items():
        for part in _parts(data, path.split(".")):
            yield from contract.part_problems(schema, _without(part, ADDED.get(path, "")))


def _without(data: JSON, keys: str) -> JSON:
    return {k: v for k, v in data.items() if k not in keys.split()}


def _parts(value: Any, path: list[str]) -> Iterator[Any]:  # noqa: ANN401  # any JSON
    if not path:
        yield value
    elif path[0] == "*":
        for item in value.values() if isinstance(value, dict) else value:
            yield from _parts(item, path[1:])
    elif path[0] in value:
        yield from _parts(value[path[0]], path[1:])
