"""Interactions from the member's act to the bot's answer: payload, three seconds, token, deferred answers, follow-ups.

Source: https://discord.com/developers/docs/interactions/receiving-and-responding
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

from bot.loopback import components, objects, posting
from bot.loopback.failures import Refusal, invalid
from bot.loopback.permissions import in_channel
from bot.loopback.record import Acknowledgement
from bot.loopback.service import ALWAYS
from bot.loopback.world import EPHEMERAL, LOADING, Interaction, Message

if TYPE_CHECKING:
    from bot.loopback.calls import Incoming
    from bot.loopback.service import Service
    from bot.loopback.world import JSON, Channel

PING, COMMAND, COMPONENT, AUTOCOMPLETE, MODAL = 1, 2, 3, 4, 5
MESSAGE, DEFERRED, DEFERRED_UPDATE, UPDATE, CHOICES, OPEN_MODAL = 4, 5, 6, 7, 8, 9
SLASH_REPLY, CONTEXT_REPLY, PLAIN_REPLY = 20, 23, 19
MAX_CHOICES = 25
# Which answers each kind of interaction takes.
ANSWERS = {
    COMMAND: {MESSAGE, DEFERRED, OPEN_MODAL},
    COMPONENT: {MESSAGE, DEFERRED, DEFERRED_UPDATE, UPDATE, OPEN_MODAL},
    AUTOCOMPLETE: {CHOICES},
    MODAL: {MESSAGE, DEFERRED, DEFERRED_UPDATE, UPDATE},
}


def begin(
    service: Service, *, kind: int, user_id: int, place: Channel, data: JSON, name: str, message: Message | None = None
) -> Interaction:
    """Send INTERACTION_CREATE to the bot and start its three seconds."""
    act = Interaction(
        id=service.ids.new(),
        token=secrets.token_urlsafe(48),
        kind=kind,
        user_id=user_id,
        channel_id=place.id,
        guild_id=place.guild_id,
        created_at=service.clock.now(),
        name=name,
        message_id=message.id if message else None,
        target_id=int(data["target_id"]) if "target_id" in data else None,
    )
    service.world.interactions[act.id] = act
    body = _payload(service, act, place) | {"data": data}
    if message is not None:
        body["message"] = service.wire(message)
    service.check_event("INTERACTION_CREATE", body)
    service.gateway.dispatch("INTERACTION_CREATE", body, intent=ALWAYS)
    tell(service, act, "sent")
    asyncio.get_running_loop().call_later(service.rules.answer_within_s, give_up, service, act)
    return act


def _payload(service: Service, act: Interaction, place: Channel) -> JSON:
    world = service.world
    person = world.users[act.user_id]
    body: JSON = {
        "id": str(act.id),
        "application_id": str(world.application_id),
        "type": act.kind,
        "token": act.token,
        "version": 1,
        "channel_id": str(place.id),
        "channel": objects.channel(world, place, for_user=act.user_id),
        "locale": person.locale,
        "app_permissions": str(in_channel(world, place, world.bot_id)),
        "entitlements": [],
        "authorizing_integration_owners": owners(act),
        "context": 0 if act.guild_id else 1,
        "attachment_size_limit": max(service.rules.member_upload_bytes, service.upload_limit(act.guild_id)),
    }
    if act.guild_id is None:
        return body | {"user": objects.user(person)}
    guild = world.guilds[act.guild_id]
    member = service.member(guild.id, act.user_id) | {"permissions": str(in_channel(world, place, act.user_id))}
    short = {"id": str(guild.id), "locale": guild.locale, "features": []}
    return body | {"guild_id": str(guild.id), "guild_locale": guild.locale, "guild": short, "member": member}


def owners(act: Interaction) -> JSON:
    """authorizing_integration_owners: installed in the server."""
    return {"0": str(act.guild_id or 0)}


def tell(service: Service, act: Interaction, state: str) -> None:
    """Let the member's side know how their act is doing."""
    data = {
        "interaction_id": str(act.id),
        "state": state,
        "kind": act.kind,
        "name": act.name,
        "answer": act.answer_kind,
        "after_ms": act.answered_after_ms,
        "message_id": str(act.response_id) if act.response_id else None,
        "modal": act.modal,
        "choices": act.choices,
    }
    place = service.world.channels.get(act.channel_id)
    service.tell_people("INTERACTION", data, place=place, audience=act.user_id)


def give_up(service: Service, act: Interaction) -> None:
    """Three seconds are over: the member reads that the application did not respond."""
    if act.answer_kind is None and not act.failed:
        act.failed = True
        tell(service, act, "failed")


def answer(service: Service, act: Interaction, body: JSON, files: dict[int, Incoming], *, arrived_at: float) -> JSON:
    """The bot's callback. Returns InteractionCallbackResponse.

    Raises:
        Refusal: 10062 after three seconds, 40060 the second time, 50035 where this kind of answer does not fit.
    """
    after_s = arrived_at - act.created_at
    if act.answer_kind is not None:
        raise Refusal(40060)
    if after_s > service.rules.answer_within_s or act.failed:
        raise Refusal(10062)
    kind, data = body["type"], body.get("data") or {}
    if kind not in ANSWERS[act.kind] or (kind in (UPDATE, DEFERRED_UPDATE) and act.message_id is None):
        raise invalid("type", f"an interaction of type {act.kind} cannot be answered with {kind}")
    said = _carry_out(service, act, kind, data, files)
    act.answer_kind, act.answered_after_ms = kind, after_s * 1000
    act.response_id = said.id if said else None
    service.record.acknowledgements.append(
        Acknowledgement(interaction_id=act.id, kind=act.kind, name=act.name, after_ms=after_s * 1000, answer_kind=kind)
    )
    tell(service, act, "modal" if kind == OPEN_MODAL else "answered")
    return _receipt(service, act, said)


def _carry_out(service: Service, act: Interaction, kind: int, data: JSON, files: dict[int, Incoming]) -> Message | None:
    place = service.channel(act.channel_id)
    if kind == MESSAGE:
        return reply(service, act, data, files)
    if kind == DEFERRED:
        return _think(service, act, data)
    if kind == UPDATE:
        said = source(service, act)
        posting.change(service, said, data, files)
        return said
    if kind == DEFERRED_UPDATE:
        return source(service, act)
    if kind == CHOICES:
        act.choices = data.get("choices") or []
        if len(act.choices) > MAX_CHOICES:
            raise invalid("data.choices", "Must be 25 or fewer in length.")
        return None
    components.check_modal(data)
    act.modal = data | {"components": components.completed(data["components"], modal=True)}
    service.tell_people("MODAL", act.modal, place=place, audience=act.user_id)
    return None


def _receipt(service: Service, act: Interaction, said: Message | None) -> JSON:
    body: JSON = {"interaction": {"id": str(act.id), "type": act.kind}}
    if said is None:
        return body
    body["interaction"] |= {
        "response_message_id": str(said.id),
        "response_message_loading": said.thinking,
        "response_message_ephemeral": said.visible_to is not None,
    }
    if act.answer_kind in (MESSAGE, DEFERRED, UPDATE, DEFERRED_UPDATE):
        body["resource"] = {"type": act.answer_kind, "message": service.wire(said)}
    return body


def reply(service: Service, act: Interaction, data: JSON, files: dict[int, Incoming]) -> Message:
    """A message that answers: ephemeral when its flags say so."""
    place = service.channel(act.channel_id)
    hidden = (data.get("flags") or 0) & EPHEMERAL
    return posting.say(
        service,
        place,
        service.world.bot_id,
        data,
        files,
        kind=_reply_kind(act),
        visible_to=act.user_id if hidden else None,
        metadata=metadata(service, act),
    )


def _reply_kind(act: Interaction) -> int:
    if act.kind == COMMAND:
        return CONTEXT_REPLY if act.target_id else SLASH_REPLY
    return PLAIN_REPLY if act.message_id else 0


def _think(service: Service, act: Interaction, data: JSON) -> Message:
    hidden = (data.get("flags") or 0) & EPHEMERAL
    said = Message(
        id=service.ids.new(),
        channel_id=act.channel_id,
        author_id=service.world.bot_id,
        created_at=service.clock.now(),
        kind=_reply_kind(act),
        flags=LOADING | (EPHEMERAL if hidden else 0),
        metadata=metadata(service, act),
        visible_to=act.user_id if hidden else None,
    )
    service.world.messages.setdefault(act.channel_id, {})[said.id] = said
    posting.announce(service, "MESSAGE_CREATE", said)
    return said


def metadata(service: Service, act: Interaction) -> JSON:
    """interaction_metadata of an answer."""
    body: JSON = {
        "id": str(act.id),
        "type": act.kind,
        "user": objects.user(service.world.users[act.user_id]),
        "authorizing_integration_owners": owners(act),
    }
    if act.kind == COMPONENT:
        body["interacted_message_id"] = str(act.message_id)
    if act.kind == MODAL:
        body["triggering_interaction_metadata"] = act.source
    if act.kind == COMMAND and act.target_id:
        body["target_message_id"] = str(act.target_id)
    return body


def source(service: Service, act: Interaction) -> Message:
    """The message whose component was used."""
    said = service.world.message(act.channel_id, act.message_id or 0)
    if said is None:
        raise Refusal(10008)
    return said


def by_token(service: Service, token: str) -> Interaction:
    """The interaction a token belongs to, while the token lives.

    Raises:
        Refusal: 50027 for a stranger's or a dead token, 10015 where nothing has been answered yet.
    """
    for act in service.world.interactions.values():
        if secrets.compare_digest(act.token, token):
            if service.clock.now() - act.created_at > service.rules.token_life_s:
                raise Refusal(50027)
            if act.answer_kind is None:
                raise Refusal(10015)
            return act
    raise Refusal(50027)


def original(service: Service, act: Interaction) -> Message:
    """The first answer's message."""
    said = service.world.message(act.channel_id, act.response_id or 0)
    if said is None:
        raise Refusal(10008)
    return said


def follow_up(service: Service, act: Interaction, body: JSON, files: dict[int, Incoming]) -> Message:
    """A later message through the token; the first after a deferral takes the thinking message's place."""
    first = service.world.message(act.channel_id, act.response_id or 0)
    if act.answer_kind == DEFERRED and first is not None and first.thinking:
        posting.change(service, first, body, files)
        return first
    said = reply(service, act, body, files)
    act.followups.append(said.id)
    return said


def own_message(service: Service, act: Interaction, message_id: int) -> Message:
    """A message this token made."""
    if message_id not in (act.response_id, *act.followups):
        raise Refusal(10008)
    said = service.world.message(act.channel_id, message_id)
    if said is None:
        raise Refusal(10008)
    return said
