"""A member of the loopback world as a Python object: what a person would do in the chat, awaited.

`Member` acts and sees; `Director` changes the world and reads its records. Both talk to `/loopback/...` over HTTP, so
they work from any process.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot.loopback.director import Caller, Director, Refused, checked
from bot.loopback.seen import JSON, Answer, SeenFile, SeenMessage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Answer", "DidNotRespond", "Director", "Member", "Refused", "SeenFile", "SeenMessage"]
File = Path | tuple[str, bytes]
POLL_S = 20.0


class DidNotRespond(Exception):
    """Three seconds passed without an answer: the member reads that the application did not respond."""


@dataclass(kw_only=True)
class Member(Caller):
    """A person. `user_id` is theirs; ids of channels and messages are ints."""

    user_id: int

    async def act(self, verb: str, **order: Any) -> JSON:  # noqa: ANN401  # any JSON
        """Do a verb of bot.loopback.acts."""
        done: JSON = await self.post("act", {"as": str(self.user_id), "do": verb, **order})
        return done

    async def upload(self, file: File) -> str:
        """Put a file where an act can use it; returns its id."""
        name, content = (file.name, await asyncio.to_thread(file.read_bytes)) if isinstance(file, Path) else file
        query = {"as": str(self.user_id), "filename": name}
        async with self.session.post(f"{self.url}/loopback/uploads", params=query, data=content) as response:
            return str((await checked(response))["id"])

    async def slash(
        self,
        command: str,
        *,
        channel: int,
        options: Mapping[str, Any] | None = None,
        files: Mapping[str, File] | None = None,
        timeout_s: float = 6.0,
    ) -> Answer:
        """Run a slash command ("train", "queue", "group sub"); `files` are attachment options by name."""
        filled = dict(options or {}) | {name: await self.upload(f) for name, f in (files or {}).items()}
        return await self._interact("slash", timeout_s, channel_id=str(channel), command=command, options=filled)

    async def on_message(self, command: str, *, message: SeenMessage, timeout_s: float = 6.0) -> Answer:
        """Run a command from a message's menu."""
        place = {"channel_id": str(message.channel_id), "message_id": str(message.id)}
        return await self._interact("on_message", timeout_s, command=command, **place)

    async def click(
        self, message: SeenMessage, button: str, *, values: Sequence[str] = (), timeout_s: float = 6.0
    ) -> Answer:
        """Press a button (by label or custom_id), or choose `values` in the select with that custom_id."""
        known = {p["custom_id"] for p in message.parts() if p.get("custom_id")}
        custom_id = button if button in known else message.button(button)["custom_id"]
        place = {"channel_id": str(message.channel_id), "message_id": str(message.id)}
        return await self._interact("click", timeout_s, custom_id=custom_id, values=list(values), **place)

    async def submit_modal(self, opened: Answer, values: Mapping[str, Any], *, timeout_s: float = 6.0) -> Answer:
        """Send the modal that an answer opened. Values by custom_id: text, option value(s), or a list of files."""
        ready = {name: await self._uploaded(value) for name, value in values.items()}
        return await self._interact("submit", timeout_s, interaction_id=str(opened.interaction_id), values=ready)

    async def _uploaded(self, value: Any) -> Any:  # noqa: ANN401  # a modal's values are of many kinds
        if isinstance(value, (Path, tuple)):
            return await self.upload(value)
        if isinstance(value, list):
            return [await self._uploaded(v) for v in value]
        return value

    async def complete(self, command: str, *, channel: int, options: Mapping[str, Any], focused: str) -> list[JSON]:
        """The choices the bot offers while an option is being typed."""
        order = {"channel_id": str(channel), "command": command, "options": dict(options), "focused": focused}
        return (await self._interact("complete", 6.0, **order)).choices or []

    async def _interact(self, verb: str, timeout_s: float, **order: Any) -> Answer:  # noqa: ANN401  # any JSON
        after = (await self.get("events", **{"as": str(self.user_id), "after": 2**53, "timeout": 0}))["last"]
        number = (await self.act(verb, **order))["interaction_id"]

        def ours(event: JSON) -> Any:  # noqa: ANN401  # a truth value of JSON
            data = event["data"]
            return event["type"] == "INTERACTION" and data["interaction_id"] == number and data["state"] != "sent"

        event = await self.wait_event(ours, after=after, timeout_s=timeout_s)
        data = event["data"]
        if data["state"] == "failed":
            raise DidNotRespond(f"{verb} {order}")
        return Answer(
            interaction_id=int(number),
            state=data["state"],
            answer_kind=data["answer"],
            after_ms=data["after_ms"],
            message_id=int(data["message_id"]) if data["message_id"] else None,
            modal=data["modal"],
            choices=data["choices"],
            channel_id=int(event["channel_id"]),
        )

    async def post_message(
        self, channel: int, content: str = "", *, files: Sequence[File] = (), reply_to: int | None = None
    ) -> SeenMessage:
        """Say something with up to ten files."""
        uploads = [await self.upload(f) for f in files]
        done = await self.act(
            "post", channel_id=str(channel), content=content, attachments=uploads, reply_to=str(reply_to or "")
        )
        return await self.message(channel, int(done["message_id"]))

    async def react(self, message: SeenMessage, emoji: str) -> None:
        """Put an emoji under a message."""
        await self.act("react", channel_id=str(message.channel_id), message_id=str(message.id), emoji=emoji)

    async def unreact(self, message: SeenMessage, emoji: str) -> None:
        """Take it back."""
        await self.act("unreact", channel_id=str(message.channel_id), message_id=str(message.id), emoji=emoji)

    async def delete(self, message: SeenMessage) -> None:
        """Delete one's own message, or another's as a moderator."""
        await self.act("unsay", channel_id=str(message.channel_id), message_id=str(message.id))

    async def leave(self, guild: int) -> None:
        """Leave a server."""
        await self.act("leave", guild_id=str(guild))

    async def world(self) -> JSON:
        """Servers, channels, threads, members and commands that this member sees."""
        seen: JSON = await self.get("world", **{"as": str(self.user_id)})
        return seen

    async def visible_messages(self, channel: int, *, limit: int = 100) -> list[SeenMessage]:
        """What this member sees in a channel, oldest first."""
        found = await self.get(f"channels/{channel}/messages", **{"as": str(self.user_id), "limit": limit})
        return [SeenMessage.of(m) for m in found]

    async def message(self, channel: int, message_id: int) -> SeenMessage:
        """One message as it is now.

        Raises:
            LookupError: it is not there, or not for this member.
        """
        query = {"as": str(self.user_id), "limit": 1, "before": message_id + 1}
        found = [SeenMessage.of(m) for m in await self.get(f"channels/{channel}/messages", **query)]
        if not found or found[0].id != message_id:
            raise LookupError(f"no message {message_id}")
        return found[0]

    async def reply_of(self, answer: Answer) -> SeenMessage:
        """The message that answered an interaction, as it is now."""
        if answer.message_id is None:
            raise LookupError("the answer was no message")
        return await self.message(answer.channel_id, answer.message_id)

    async def download(self, file: SeenFile) -> bytes:
        """The bytes of a file.

        Raises:
            aiohttp.ClientResponseError: the link has expired.
        """
        async with self.session.get(file.url) as response:
            response.raise_for_status()
            return await response.read()

    async def wait_event(self, wanted: Callable[[JSON], Any], *, after: int = 0, timeout_s: float = 30.0) -> JSON:
        """The first event after number `after` that is wanted.

        Raises:
            TimeoutError: none came in time.
        """
        ends = time.monotonic() + timeout_s
        while True:
            left = ends - time.monotonic()
            if left <= 0:
                raise TimeoutError("no such event in time")
            news = await self.get("events", **{"as": str(self.user_id), "after": after, "timeout": min(left, POLL_S)})
            for event in news["events"]:
                if wanted(event):
                    return dict(event)
            after = news["last"]

    async def wait_message(
        self, wanted: Callable[[SeenMessage], bool], *, channel: int | None = None, timeout_s: float = 30.0
    ) -> SeenMessage:
        """The newest message that is wanted, already there or still to come; in one channel or in all one sees.

        Raises:
            TimeoutError: none came in time.
        """
        ends = time.monotonic() + timeout_s
        after = (await self.get("events", **{"as": str(self.user_id), "after": 2**53, "timeout": 0}))["last"]
        places = [channel] if channel is not None else await self._places()
        while True:
            for place in places:
                for message in reversed(await self.visible_messages(place)):
                    if wanted(message):
                        return message
            left = ends - time.monotonic()
            if left <= 0:
                raise TimeoutError("no such message in time")
            news = await self.get("events", **{"as": str(self.user_id), "after": after, "timeout": min(left, POLL_S)})
            after = news["last"]
            changed = {int(e["channel_id"]) for e in news["events"] if e["channel_id"]}
            changed |= {int(e["data"]["id"]) for e in news["events"] if e["type"] == "THREAD_CREATE"}
            places = [p for p in changed if channel is None or p == channel]

    async def _places(self) -> list[int]:
        seen = await self.world()
        return [int(c["id"]) for g in seen["guilds"] for c in g["channels"]] + [int(c["id"]) for c in seen["dms"]]
