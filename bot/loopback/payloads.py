"""What a client may say over the gateway: the keys of each payload, as Discord documents them. Others are a violation.

Source: https://discord.com/developers/docs/events/gateway-events#send-events
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bot.loopback.world import JSON

HEARTBEAT, IDENTIFY, PRESENCE, VOICE, RESUME, MEMBERS = 1, 2, 3, 4, 6, 8
ENVELOPE = frozenset({"op", "d", "s", "t"})
_PRESENCE = frozenset({"since", "activities", "status", "afk"})
KEYS: Mapping[int, frozenset[str]] = {
    IDENTIFY: frozenset({"token", "properties", "compress", "large_threshold", "shard", "presence", "intents"}),
    PRESENCE: _PRESENCE,
    VOICE: frozenset({"guild_id", "channel_id", "self_mute", "self_deaf"}),
    RESUME: frozenset({"token", "session_id", "seq"}),
    MEMBERS: frozenset({"guild_id", "query", "limit", "presences", "user_ids", "nonce"}),
}
INSIDE: Mapping[tuple[int, str], frozenset[str]] = {
    (IDENTIFY, "properties"): frozenset({"os", "browser", "device"}),
    (IDENTIFY, "presence"): _PRESENCE | {"game"},  # discord.py 2.7.1 sends what older versions of the gateway took
}


def strays(payload: JSON) -> Iterator[str]:
    """Where a payload of a client has keys that Discord does not know, dotted as in `d.properties.os`."""
    yield from sorted(payload.keys() - ENVELOPE)
    op, data = payload.get("op"), payload.get("d")
    if not isinstance(op, int) or op not in KEYS:
        return
    if not isinstance(data, dict):
        yield "d"
        return
    yield from _inside("d", data, KEYS[op])
    for key, value in data.items():
        if (op, key) in INSIDE and isinstance(value, dict):
            yield from _inside(f"d.{key}", value, INSIDE[op, key])


def _inside(path: str, data: Mapping[str, Any], known: frozenset[str]) -> Iterator[str]:
    yield from (f"{path}.{key}" for key in sorted(data.keys() - known))
