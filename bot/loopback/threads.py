"""Threads: opened from a message or alone, woken by a message, archived, locked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.loopback import objects
from bot.loopback.failures import Refusal
from bot.loopback.service import GUILDS
from bot.loopback.world import HAS_THREAD, PUBLIC_THREAD, TEXT, Channel, Message, ThreadState

if TYPE_CHECKING:
    from bot.loopback.service import Service
    from bot.loopback.world import JSON


def open_thread(
    service: Service, parent: Channel, owner_id: int, body: JSON, *, root: Message | None = None
) -> Channel:
    """Open a thread; with a root message it takes the message's id.

    Raises:
        Refusal: 160004 where the message has one already, 50024 where the channel cannot have threads.
    """
    if parent.kind != TEXT:
        raise Refusal(50024)
    if root is not None and root.thread_id is not None:
        raise Refusal(160004)
    now = service.clock.now()
    state = ThreadState(
        owner_id=owner_id,
        created_at=now,
        archived_at=now,
        auto_archive_min=body.get("auto_archive_duration") or 1440,
        member_ids=[owner_id],
    )
    number = root.id if root is not None else service.ids.new()
    thread = Channel(
        id=number, kind=PUBLIC_THREAD, name=body["name"], guild_id=parent.guild_id, parent_id=parent.id, thread=state
    )
    service.world.channels[thread.id] = thread
    data = objects.channel(service.world, thread) | {"newly_created": True}
    service.tell_bot("THREAD_CREATE", data, intent=GUILDS, place=thread)
    service.tell_people("THREAD_CREATE", {"id": str(thread.id), "name": thread.name}, place=parent)
    if root is not None:
        root.thread_id = thread.id
        root.flags |= HAS_THREAD
        service.tell_about_message("MESSAGE_UPDATE", root)
        service.tell_people("MESSAGE_UPDATE", service.wire(root, me=0), place=parent)
    return thread


def wake(service: Service, thread: Channel) -> None:
    """What a new message does to an archived thread.

    Raises:
        Refusal: 160005 where it is locked.
    """
    state = thread.thread
    if state is None or not state.archived:
        return
    if state.locked:
        raise Refusal(160005)
    change_thread(service, thread, {"archived": False})


def change_thread(service: Service, thread: Channel, body: JSON) -> None:
    """Rename, archive, lock."""
    state = thread.thread
    if state is None:
        raise Refusal(50024)
    thread.name = body.get("name") or thread.name
    if body.get("archived") is not None and body["archived"] != state.archived:
        state.archived, state.archived_at = body["archived"], service.clock.now()
    if body.get("locked") is not None:
        state.locked = body["locked"]
    state.auto_archive_min = body.get("auto_archive_duration") or state.auto_archive_min
    service.tell_bot("THREAD_UPDATE", objects.channel(service.world, thread), intent=GUILDS, place=thread)
    service.tell_people("THREAD_UPDATE", {"id": str(thread.id), "name": thread.name}, place=thread)


def remove_channel(service: Service, place: Channel) -> None:
    """Delete a channel or a thread with everything said in it."""
    event = "THREAD_DELETE" if place.thread else "CHANNEL_DELETE"
    data = objects.channel(service.world, place)
    if place.thread:
        data = {k: data[k] for k in ("id", "guild_id", "parent_id", "type")}
    service.tell_bot(event, data, intent=GUILDS, place=place)
    service.tell_people(event, {"id": str(place.id)}, place=place)
    for child in [c for c in service.world.channels.values() if c.parent_id == place.id]:
        del service.world.channels[child.id]
        service.world.messages.pop(child.id, None)
    del service.world.channels[place.id]
    service.world.messages.pop(place.id, None)
