"""REST: messages, reactions, typing."""

from __future__ import annotations

from typing import Any

from bot.loopback import objects, posting, reacting
from bot.loopback.calls import Call, Route
from bot.loopback.failures import Refusal
from bot.loopback.permissions import has, in_channel
from bot.loopback.world import DM, Channel, Message

MESSAGES = "/channels/{channel_id}/messages"
ONE = MESSAGES + "/{message_id}"
EMOJI = ONE + "/reactions/{emoji_name}"


def create(call: Call) -> tuple[int, Any]:
    """Post a message; a repeated nonce with enforce_nonce answers with the first."""
    service, place = call.service, call.service.channel(call.ids["channel_id"])
    body = call.body or {}
    _may_send(call, place, body)
    nonce = body.get("nonce")
    if nonce is not None and body.get("enforce_nonce"):
        earlier = _with_nonce(call, nonce)
        if earlier is not None:
            return 200, service.wire(earlier)
    said = posting.say(service, place, service.world.bot_id, body, call.files)
    return 200, service.wire(said)


def _may_send(call: Call, place: Channel, body: dict[str, Any]) -> None:
    service = call.service
    if place.kind == DM:
        if any(not service.world.users[u].dm_open for u in place.recipients):
            raise Refusal(50007)
        return
    needed = ["SEND_MESSAGES_IN_THREADS" if place.thread else "SEND_MESSAGES"]
    if call.files:
        needed.append("ATTACH_FILES")
    if body.get("embeds"):
        needed.append("EMBED_LINKS")
    service.need(place, service.world.bot_id, *needed)


def _with_nonce(call: Call, nonce: str | int) -> Message | None:
    service = call.service
    since = service.clock.now() - service.rules.nonce_window_s
    for channel in service.world.messages.values():
        for said in reversed(channel.values()):
            if said.created_at < since:
                break
            if said.author_id == service.world.bot_id and said.nonce is not None and str(said.nonce) == str(nonce):
                return said
    return None


def history(call: Call) -> tuple[int, Any]:
    """Messages of a channel, newest first; none, and no error, where the bot may not read its history.

    (https://discord.com/developers/docs/resources/message#get-channel-messages)
    """
    service = call.service
    place = service.bot_channel(call.ids["channel_id"])
    if place.kind != DM and not has(in_channel(service.world, place, service.world.bot_id), "READ_MESSAGE_HISTORY"):
        return 200, []
    shown = [m for m in service.world.messages.get(place.id, {}).values() if m.visible_to is None]
    limit = int(call.query.get("limit", "50"))
    return 200, [service.wire(m) for m in page(shown, call.query, limit)]


def page(shown: list[Message], query: Any, limit: int) -> list[Message]:  # noqa: ANN401  # a multidict or a dict
    """The page of messages that before, after or around asks for; newest first."""
    ordered = sorted(shown, key=lambda m: m.id)
    if "before" in query:
        ordered = [m for m in ordered if m.id < int(query["before"])][-limit:]
    elif "after" in query:
        ordered = [m for m in ordered if m.id > int(query["after"])][:limit]
    elif "around" in query:
        middle = int(query["around"])
        older = [m for m in ordered if m.id < middle][-(limit // 2) :]
        ordered = older + [m for m in ordered if m.id >= middle][: limit - len(older)]
    return list(reversed(ordered[-limit:]))


def get_one(call: Call) -> tuple[int, Any]:
    """One message, with fresh links."""
    place = call.service.bot_channel(call.ids["channel_id"], "READ_MESSAGE_HISTORY")
    return 200, call.service.wire(call.service.message(place.id, call.ids["message_id"]))


def patch(call: Call) -> tuple[int, Any]:
    """Edit one's own message."""
    service = call.service
    place = service.bot_channel(call.ids["channel_id"])
    said = service.message(place.id, call.ids["message_id"])
    if said.author_id != service.world.bot_id:
        raise Refusal(50005)
    if place.thread and place.thread.archived:
        raise Refusal(50083)
    posting.change(service, said, call.body or {}, call.files)
    return 200, service.wire(said)


def delete(call: Call) -> tuple[int, Any]:
    """Delete one's own message, or another's with MANAGE_MESSAGES."""
    service = call.service
    place = service.bot_channel(call.ids["channel_id"])
    said = service.message(place.id, call.ids["message_id"])
    if said.author_id != service.world.bot_id:
        service.need(place, service.world.bot_id, "MANAGE_MESSAGES")
    posting.unsay(service, said)
    return 204, None


def typing(call: Call) -> tuple[int, Any]:
    """The bot types."""
    place = call.service.bot_channel(call.ids["channel_id"])
    call.service.tell_people("TYPING", {"user_id": str(call.service.world.bot_id)}, place=place)
    return 204, None


def _target(call: Call) -> Message:
    place = call.service.bot_channel(call.ids["channel_id"], "READ_MESSAGE_HISTORY")
    return call.service.message(place.id, call.ids["message_id"])


def react(call: Call) -> tuple[int, Any]:
    """Put one's own emoji."""
    reacting.react(call.service, _target(call), call.service.world.bot_id, call.names["emoji_name"])
    return 204, None


def unreact(call: Call) -> tuple[int, Any]:
    """Take one's own emoji back."""
    reacting.unreact(call.service, _target(call), call.service.world.bot_id, call.names["emoji_name"])
    return 204, None


def _as_moderator(call: Call) -> Message:
    said = _target(call)
    place = call.service.world.channels[said.channel_id]
    if not has(in_channel(call.service.world, place, call.service.world.bot_id), "MANAGE_MESSAGES"):
        raise Refusal(50013)
    return said


def unreact_other(call: Call) -> tuple[int, Any]:
    """Take a member's emoji away."""
    reacting.unreact(call.service, _as_moderator(call), call.ids["user_id"], call.names["emoji_name"])
    return 204, None


def clear(call: Call) -> tuple[int, Any]:
    """Take all emoji away, or all of one kind."""
    reacting.clear(call.service, _as_moderator(call), call.names.get("emoji_name"))
    return 204, None


def reacted(call: Call) -> tuple[int, Any]:
    """Who put an emoji, in the order of their ids, by pages."""
    said = _target(call)
    key = reacting.check_emoji(call.names["emoji_name"])
    found = next((r for r in said.reactions if r.emoji == key), None)
    if found is None or call.query.get("type", "0") == "1":
        return 200, []
    after, limit = int(call.query.get("after", "0")), int(call.query.get("limit", "25"))
    chosen = [u for u in sorted(found.user_ids) if u > after][:limit]
    return 200, [objects.user(call.service.world.users[u]) for u in chosen]


ROUTES = (
    Route(method="POST", template=MESSAGES, serve=create),
    Route(method="GET", template=MESSAGES, serve=history),
    Route(method="GET", template=ONE, serve=get_one),
    Route(method="PATCH", template=ONE, serve=patch),
    Route(method="DELETE", template=ONE, serve=delete),
    Route(method="POST", template="/channels/{channel_id}/typing", serve=typing),
    Route(method="PUT", template=f"{EMOJI}/@me", serve=react),
    Route(method="DELETE", template=f"{EMOJI}/@me", serve=unreact),
    Route(method="DELETE", template=EMOJI + "/{user_id}", serve=unreact_other),
    Route(method="DELETE", template=EMOJI, serve=clear),
    Route(method="DELETE", template=f"{ONE}/reactions", serve=clear),
    Route(method="GET", template=EMOJI, serve=reacted),
)
