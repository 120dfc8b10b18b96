"""Saying, changing and unsaying: the rules of a message, whoever writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.loopback import components
from bot.loopback.failures import Refusal, invalid
from bot.loopback.service import DIRECT_MESSAGES, GUILD_MESSAGES, mentioned
from bot.loopback.threads import wake
from bot.loopback.world import COMPONENTS_V2, DM, EPHEMERAL, JSON, LOADING, SILENT, SUPPRESS_EMBEDS, Message

if TYPE_CHECKING:
    from bot.loopback.calls import Incoming
    from bot.loopback.service import Service
    from bot.loopback.world import Attachment, Channel

MAX_CONTENT = 2000
MAX_EMBED_TEXT = 6000
REPLY = 19
SETTABLE = SUPPRESS_EMBEDS | SILENT | COMPONENTS_V2
Files = dict[int, "Incoming"]


def say(
    service: Service,
    place: Channel,
    author_id: int,
    body: JSON,
    files: Files,
    *,
    kind: int = 0,
    visible_to: int | None = None,
    metadata: JSON | None = None,
    kept: list[Attachment] | None = None,
) -> Message:
    """Post a message and tell everybody who may know.

    Args:
        service: the world.
        place: where.
        author_id: who speaks.
        body: content, embeds, components, flags as in MessageCreateRequest.
        files: what came with it.
        kind: the message type on the wire.
        visible_to: the one reader of an ephemeral message.
        metadata: interaction_metadata, for answers.
        kept: attachments that are stored already (a member's).

    Raises:
        Refusal: 50006, 50035, 40005, 160005.
    """
    flags = (body.get("flags") or 0) & SETTABLE
    check(service, place, body, files, flags=flags, empty_ok=bool(kept))
    if place.thread:
        wake(service, place)
    said = _written(service, place, author_id, body)
    said.kind = said.kind or kind
    said.flags = flags | (EPHEMERAL if visible_to is not None else 0)
    added = _attach(service, place, body, files, author_id=author_id, ephemeral=visible_to is not None)
    said.attachments = [*(kept or ()), *added]
    said.metadata, said.visible_to = metadata, visible_to
    _check_references(said)
    service.world.messages.setdefault(place.id, {})[said.id] = said
    if visible_to is None:
        place.last_message_id = said.id
        if place.thread:
            place.thread.messages_sent += 1
    announce(service, "MESSAGE_CREATE", said)
    return said


def _written(service: Service, place: Channel, author_id: int, body: JSON) -> Message:
    """The words of a request as a message that nobody has seen yet."""
    content = body.get("content") or ""
    people, everyone = mentioned(service.world, content, body.get("allowed_mentions"))
    return Message(
        id=service.ids.new(),
        channel_id=place.id,
        author_id=author_id,
        created_at=service.clock.now(),
        content=content,
        kind=REPLY if body.get("message_reference") else 0,
        embeds=[_embed(e) for e in body.get("embeds") or []],
        components=components.completed(body.get("components") or []),
        mentions=people,
        mention_everyone=everyone,
        nonce=body.get("nonce"),
        reference=_reference(service, place, body),
        tts=bool(body.get("tts")),
    )


def announce(service: Service, event: str, said: Message) -> None:
    """Tell the bot and the people that a message is new or changed."""
    place = service.world.channels[said.channel_id]
    service.tell_about_message(event, said)
    service.tell_people(event, service.wire(said, me=0), place=place, audience=said.visible_to)


def check(service: Service, place: Channel, body: JSON, files: Files, *, flags: int, empty_ok: bool = False) -> None:
    """The rules that the schema does not hold."""
    if len(body.get("content") or "") > MAX_CONTENT:
        raise invalid("content", "Must be 2000 or fewer in length.")
    if sum(_embed_text(e) for e in body.get("embeds") or []) > MAX_EMBED_TEXT:
        raise invalid("embeds", "Embed size exceeds maximum size of 6000")
    something = any(body.get(k) for k in ("content", "embeds", "components", "poll", "sticker_ids")) or files
    if not something and not empty_ok:
        raise Refusal(50006)
    limit = service.upload_limit(place.guild_id)
    if any(f.size > limit for f in files.values()):
        raise Refusal(40005)
    components.check_message(body, flags=flags)


def _embed_text(embed: JSON) -> int:
    fields = sum(len(f.get("name", "")) + len(f.get("value", "")) for f in embed.get("fields") or [])
    named = (embed.get("footer") or {}).get("text", ""), (embed.get("author") or {}).get("name", "")
    return fields + len(embed.get("title") or "") + len(embed.get("description") or "") + sum(map(len, named))


def _embed(embed: JSON) -> JSON:
    made = {k: v for k, v in embed.items() if v is not None} | {"type": "rich"}
    for key in ("author", "footer", "image", "thumbnail"):
        if key in made:
            made[key] = {k: v for k, v in made[key].items() if v is not None}
    if "fields" in made:
        made["fields"] = [
            {"name": f["name"], "value": f["value"], "inline": bool(f.get("inline"))} for f in made["fields"]
        ]
    return made


def _attach(
    service: Service, place: Channel, body: JSON, files: Files, *, author_id: int, ephemeral: bool
) -> list[Attachment]:
    told = {int(a["id"]): a for a in body.get("attachments") or []}
    made = []
    for number, incoming in sorted(files.items()):
        item = incoming.keep(service, channel_id=place.id, uploader_id=author_id, ephemeral=ephemeral)
        item.description = told.get(number, {}).get("description")
        item.title = told.get(number, {}).get("title")
        made.append(item)
    return made


def _reference(service: Service, place: Channel, body: JSON) -> JSON | None:
    asked = body.get("message_reference")
    if not asked:
        return None
    target = service.world.message(place.id, int(asked.get("message_id") or 0))
    if target is None:
        if asked.get("fail_if_not_exists", True):
            raise invalid("message_reference", "Unknown message")
        return None
    return {"type": 0, "channel_id": str(place.id), "message_id": str(target.id)}


def _check_references(said: Message) -> None:
    names = {a.filename for a in said.attachments}
    for part in components.walk(said.components):
        for media in [part.get("media"), part.get("file"), *(i["media"] for i in part.get("items", []))]:
            url = (media or {}).get("url", "")
            if url.startswith("attachment://") and url.removeprefix("attachment://") not in names:
                raise invalid("components", f"The referenced attachment {url} was not found")


def change(service: Service, said: Message, body: JSON, files: Files) -> None:
    """Edit a message: named fields are replaced, unlisted attachments go, new files are added.

    Raises:
        Refusal: as `say`, and 30046 for the many edits of an old message.
    """
    place = service.world.channels[said.channel_id]
    _count_edit(service, said)
    flags = said.flags | ((body.get("flags") or 0) & SETTABLE)
    after: dict[str, Any] = {k: body[k] for k in ("content", "embeds", "components") if k in body}
    whole = {"content": said.content, "embeds": said.embeds, "components": said.components} | after
    remaining = _remaining(said, body)
    checked = whole if after else {"content": whole["content"] or "-"}
    check(service, place, checked, files, flags=flags, empty_ok=bool(remaining))
    hidden = said.visible_to is not None
    added = _attach(service, place, body, files, author_id=said.author_id, ephemeral=hidden)
    said.attachments = [*remaining, *added]
    if "content" in body:
        said.content = body["content"] or ""
    if "embeds" in body:
        said.embeds = [_embed(e) for e in body["embeds"] or []]
    if "components" in body:
        said.components = components.completed(body["components"] or [])
    _check_references(said)
    said.flags = flags & ~LOADING
    said.edited_at = service.clock.now()
    announce(service, "MESSAGE_UPDATE", said)


def _remaining(said: Message, body: JSON) -> list[Attachment]:
    if "attachments" not in body:
        return said.attachments
    kept = {int(a["id"]): a for a in body["attachments"] or []}
    return [a for a in said.attachments if a.id in kept]


def _count_edit(service: Service, said: Message) -> None:
    if service.clock.now() - said.created_at < service.rules.old_message_s:
        return
    said.edits += 1
    if said.edits > service.rules.old_edits:
        raise Refusal(30046, retry_after_s=service.rules.old_edit_wait_s)


def unsay(service: Service, said: Message) -> None:
    """Delete a message; its files go with it."""
    place = service.world.channels[said.channel_id]
    del service.world.messages[place.id][said.id]
    for item in said.attachments:
        service.world.uploads.pop(item.id, None)
        (service.blobs / str(item.id)).unlink(missing_ok=True)
    data: JSON = {"id": str(said.id), "channel_id": str(place.id)}
    if place.guild_id:
        data["guild_id"] = str(place.guild_id)
    if said.visible_to is None:
        intent = DIRECT_MESSAGES if place.kind == DM else GUILD_MESSAGES
        service.tell_bot("MESSAGE_DELETE", data, intent=intent, place=place)
    service.tell_people("MESSAGE_DELETE", {"id": str(said.id)}, place=place, audience=said.visible_to)
