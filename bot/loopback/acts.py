"""What members do, as Discord's own client would let them: it refuses what the client refuses, with a Refusal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.loopback import commands, components, interactions, moving, objects, posting, reacting, sayings, threads
from bot.loopback.failures import Refusal, invalid
from bot.loopback.forms import submitted
from bot.loopback.permissions import has, in_channel
from bot.loopback.service import person
from bot.loopback.world import DM, Channel, Message

if TYPE_CHECKING:
    from bot.loopback.service import Service
    from bot.loopback.world import JSON, Attachment, Command, Interaction

MAX_POST_FILES = 10


def slash(service: Service, user_id: int, order: JSON) -> JSON:
    """Run a slash command: `command` ("train", or "group sub"), `channel_id`, `options`."""
    place = _place(service, user_id, order)
    name, *words = str(order["command"]).removeprefix("/").split()
    command = commands.find(service, place.guild_id, commands.SLASH, name)
    _may_run(service, command, place, user_id)
    nested, flat = commands.fill_in(command, words, order.get("options") or {})
    data: JSON = {"id": str(command.id), "name": name, "type": commands.SLASH, "options": nested}
    if command.guild_id:
        data["guild_id"] = str(command.guild_id)
    resolved = _resolve(service, user_id, place, flat)
    if resolved:
        data["resolved"] = resolved
    return _begun(
        interactions.begin(
            service, kind=interactions.COMMAND, user_id=user_id, place=place, data=data, name=str(order["command"])
        )
    )


def complete(service: Service, user_id: int, order: JSON) -> JSON:
    """Ask for the choices of the option being typed: as `slash`, with `focused` naming the option."""
    place = _place(service, user_id, order)
    name, *words = str(order["command"]).removeprefix("/").split()
    command = commands.find(service, place.guild_id, commands.SLASH, name)
    options = [
        {"type": commands.STRING, "name": k, "value": v} | ({"focused": True} if k == order["focused"] else {})
        for k, v in (order.get("options") or {}).items()
    ]
    for word in reversed(words):
        options = [{"type": commands.SUB, "name": word, "options": options}]
    data = {"id": str(command.id), "name": name, "type": commands.SLASH, "options": options}
    return _begun(
        interactions.begin(service, kind=interactions.AUTOCOMPLETE, user_id=user_id, place=place, data=data, name=name)
    )


def on_message(service: Service, user_id: int, order: JSON) -> JSON:
    """Run a command from a message's menu: `command`, `channel_id`, `message_id`."""
    place = _place(service, user_id, order)
    command = commands.find(service, place.guild_id, commands.ON_MESSAGE, order["command"])
    _may_run(service, command, place, user_id)
    target = _seen(service, user_id, place, order)
    data = {
        "id": str(command.id),
        "name": order["command"],
        "type": commands.ON_MESSAGE,
        "target_id": str(target.id),
        "resolved": {"messages": {str(target.id): service.wire(target)}},
    }
    if command.guild_id:
        data["guild_id"] = str(command.guild_id)
    return _begun(
        interactions.begin(
            service, kind=interactions.COMMAND, user_id=user_id, place=place, data=data, name=order["command"]
        )
    )


def _may_run(service: Service, command: Command, place: Channel, user_id: int) -> None:
    granted = in_channel(service.world, place, user_id)
    if not has(granted, "USE_APPLICATION_COMMANDS") and place.kind != DM:
        raise Refusal(50013)
    if not commands.allowed(command, granted):
        raise Refusal(50013)


def _resolve(service: Service, user_id: int, place: Channel, flat: list[JSON]) -> JSON:
    resolved: JSON = {}
    for option in flat:
        value = str(option["value"])
        if option["type"] == commands.ATTACHMENT:
            item = upload(service, user_id, value)
            resolved.setdefault("attachments", {})[value] = sayings.attachment(item, service.link)
        elif option["type"] == commands.USER:
            who = person(service, value)
            resolved.setdefault("users", {})[value] = objects.user(who)
            if place.guild_id and who.id in service.world.guilds[place.guild_id].members:
                member = service.member(place.guild_id, who.id) | {
                    "permissions": str(in_channel(service.world, place, who.id))
                }
                resolved.setdefault("members", {})[value] = {
                    k: v for k, v in member.items() if k not in ("user", "mute", "deaf")
                }
        elif option["type"] == commands.CHANNEL:
            channel = objects.channel(service.world, service.channel(int(value)), for_user=user_id)
            resolved.setdefault("channels", {})[value] = channel
        elif option["type"] == commands.ROLE and place.guild_id:
            role = service.world.guilds[place.guild_id].roles[int(value)]
            resolved.setdefault("roles", {})[value] = objects.role(role)
    return resolved


def upload(service: Service, user_id: int, attachment_id: Any) -> Attachment:  # noqa: ANN401  # text or number
    """A file that this member has uploaded."""
    item = service.world.uploads.get(int(attachment_id))
    if item is None or item.uploader_id != user_id:
        raise invalid("attachments", f"{attachment_id} is no upload of this member")
    return item


def click(service: Service, user_id: int, order: JSON) -> JSON:
    """Press a button or choose in a select: `channel_id`, `message_id`, `custom_id`, `values`."""
    place = _place(service, user_id, order)
    said = _seen(service, user_id, place, order)
    component = components.find(said.components, order["custom_id"])
    if component is None or component.get("disabled"):
        raise invalid("custom_id", "there is no such component, or it is disabled")
    data: JSON = {"custom_id": order["custom_id"], "component_type": component["type"], "id": component["id"]}
    if component["type"] in components.SELECTS:
        data["values"] = _chosen(component, [str(v) for v in order.get("values") or []])
    name = component.get("label") or order["custom_id"]
    return _begun(
        interactions.begin(
            service,
            kind=interactions.COMPONENT,
            user_id=user_id,
            place=place,
            data=data,
            name=f"component {name}",
            message=said,
        )
    )


def _chosen(component: JSON, values: list[str]) -> list[str]:
    offered = components.option_values(component)
    if component["type"] == components.STRING_SELECT and set(values) - set(offered):
        raise invalid("values", f"only {offered} can be chosen")
    if not component.get("min_values", 1) <= len(values) <= component.get("max_values", 1):
        raise invalid("values", "too few or too many chosen")
    return values


def submit(service: Service, user_id: int, order: JSON) -> JSON:
    """Send an open modal: `interaction_id` that opened it, `values` by custom_id (files as upload ids)."""
    opener = service.world.interactions.get(int(order["interaction_id"]))
    if opener is None or opener.modal is None or opener.user_id != user_id:
        raise invalid("interaction_id", "no modal is open there")
    place = service.channel(opener.channel_id)
    filled, uploads = submitted(opener.modal, order.get("values") or {})
    data: JSON = {"custom_id": opener.modal["custom_id"], "components": filled}
    if uploads:
        items = {str(u): upload(service, user_id, u) for u in uploads}
        data["resolved"] = {"attachments": {k: sayings.attachment(a, service.link) for k, a in items.items()}}
    message = service.world.message(place.id, opener.message_id or 0) if opener.kind == interactions.COMPONENT else None
    source = interactions.metadata(service, opener)
    name = f"modal {opener.modal['title']}"
    act = interactions.begin(
        service, kind=interactions.MODAL, user_id=user_id, place=place, data=data, name=name, message=message
    )
    act.source = source
    opener.modal = None
    return _begun(act)


def post(service: Service, user_id: int, order: JSON) -> JSON:
    """Say something: `channel_id`, `content`, `attachments` (upload ids), `reply_to`."""
    place = _place(service, user_id, order)
    files = [upload(service, user_id, a) for a in order.get("attachments") or []]
    if len(files) > MAX_POST_FILES:
        raise invalid("attachments", "a message carries up to 10 files")
    if place.kind != DM:
        service.need(place, user_id, "SEND_MESSAGES_IN_THREADS" if place.thread else "SEND_MESSAGES")
    for item in files:
        item.ephemeral = False
        item.channel_id = place.id
    body: JSON = {"content": order.get("content") or ""}
    if order.get("reply_to"):
        body["message_reference"] = {"message_id": str(order["reply_to"])}
    said = posting.say(service, place, user_id, body, {}, kept=files)
    return {"message_id": str(said.id)}


def unsay(service: Service, user_id: int, order: JSON) -> JSON:
    """Delete a message, one's own or as a moderator; an ephemeral one is only dismissed."""
    place = _place(service, user_id, order)
    said = _seen(service, user_id, place, order)
    if said.visible_to is not None:
        said.dismissed = True
        service.tell_people("MESSAGE_DELETE", {"id": str(said.id)}, place=place, audience=user_id)
        return {}
    if user_id != said.author_id:
        service.need(place, user_id, "MANAGE_MESSAGES")
    posting.unsay(service, said)
    return {}


def react(service: Service, user_id: int, order: JSON) -> JSON:
    """Put an emoji: `channel_id`, `message_id`, `emoji`."""
    place = _place(service, user_id, order)
    reacting.react(service, _seen(service, user_id, place, order), user_id, order["emoji"])
    return {}


def unreact(service: Service, user_id: int, order: JSON) -> JSON:
    """Take an emoji back."""
    place = _place(service, user_id, order)
    reacting.unreact(service, _seen(service, user_id, place, order), user_id, order["emoji"])
    return {}


def open_thread(service: Service, user_id: int, order: JSON) -> JSON:
    """Open a thread: `channel_id`, `name`, and `message_id` for one under a message."""
    place = _place(service, user_id, order)
    root = _seen(service, user_id, place, order) if order.get("message_id") else None
    return {"channel_id": str(threads.open_thread(service, place, user_id, order, root=root).id)}


def leave(service: Service, user_id: int, order: JSON) -> JSON:
    """Leave a server."""
    moving.leave(service, service.world.guilds[int(order["guild_id"])], user_id)
    return {}


def _place(service: Service, user_id: int, order: JSON) -> Channel:
    place = service.channel(int(order["channel_id"]))
    if not service.can_see(user_id, place):
        raise Refusal(50001)
    return place


def _seen(service: Service, user_id: int, place: Channel, order: JSON) -> Message:
    said = service.world.message(place.id, int(order["message_id"]))
    if said is None or said.visible_to not in (None, user_id):
        raise Refusal(10008)
    return said


def _begun(act: Interaction) -> JSON:
    return {"interaction_id": str(act.id)}


VERBS = {
    "slash": slash,
    "complete": complete,
    "on_message": on_message,
    "click": click,
    "submit": submit,
    "post": post,
    "unsay": unsay,
    "react": react,
    "unreact": unreact,
    "open_thread": open_thread,
    "leave": leave,
}
