"""The members of the demonstration: what they do in the chat, and what they see there."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

from bot.loopback.director import Director
from bot.loopback.member import Member
from bot.loopback.seen import SeenMessage

SERVER, CHANNEL = "Loopback", "lora"
THUMB = "\N{THUMBS UP SIGN}"
AT_ONCE = 10
"""Pictures that fit the attachment options of `/train`; more go through its form."""
A_UPLOAD = 10
"""Pictures that one upload field of the form takes."""
T = TypeVar("T")


class NotSeen(TimeoutError):
    """What a member waited for did not come."""


@dataclass(kw_only=True)
class People:
    """Members by name, on one server of the loopback."""

    card: Mapping[str, Any]
    """The loopback's ready file."""
    stack: AsyncExitStack
    members: dict[str, Member] = field(default_factory=dict)

    @property
    def channel(self) -> int:
        """The channel where orders are made."""
        return int(self.card["guilds"][SERVER]["channels"][CHANNEL])

    async def named(self, name: str) -> Member:
        """A member."""
        if name not in self.members:
            user_id = int(self.card["guilds"][SERVER]["members"][name])
            made = Member(url=str(self.card["page"]), user_id=user_id)
            self.members[name] = await self.stack.enter_async_context(made)
        return self.members[name]

    async def director(self) -> Director:
        """Whoever looks at the loopback from outside."""
        return await self.stack.enter_async_context(Director(url=str(self.card["page"])))

    async def train(self, name: str, pictures: Sequence[Path], options: Mapping[str, str]) -> None:
        """Run `/train`, by attachments or through the form."""
        member = await self.named(name)
        if len(pictures) <= AT_ONCE:
            files = {f"image{k}": path for k, path in enumerate(pictures, 1)}
            await member.slash("train", channel=self.channel, options=options, files=files, timeout_s=30)
            return
        opened = await member.slash("train", channel=self.channel, options=options, timeout_s=30)
        groups = [list(pictures[k : k + A_UPLOAD]) for k in range(0, len(pictures), A_UPLOAD)]
        values: dict[str, Any] = {f"pictures{k}": group for k, group in enumerate(groups, 1)}
        await member.submit_modal(opened, {"subject": options["subject"], **values}, timeout_s=30)

    async def plan(self, name: str) -> SeenMessage:
        """The plan card, once it can be started."""
        member = await self.named(name)

        def ready(message: SeenMessage) -> bool:
            return any(p.get("custom_id", "").startswith("start:") for p in message.parts())

        return await member.wait_message(ready, channel=self.channel, timeout_s=120)

    async def start(self, name: str, plan: SeenMessage) -> None:
        """Press Start; for a person, agree to what is asked."""
        member = await self.named(name)
        answer = await member.click(plan, "start:" + order_of(plan), timeout_s=30)
        if answer.message_id is None:
            return
        said = await self.until(lambda: _thought(member, answer), 30, "an answer to Start")
        if any(p.get("custom_id", "").startswith("agree:") for p in said.parts()):
            await member.click(said, "agree:" + order_of(plan), timeout_s=30)

    async def said(self, name: str, thread: int, words: str, seconds: float = 60) -> SeenMessage:
        """A message in the order's thread, by words in it or the name of its file."""
        member = await self.named(name)

        async def there() -> SeenMessage | None:
            for message in await member.visible_messages(thread):
                if words in message.text() or any(words in f.filename for f in message.files):
                    return message
            return None

        return await self.until(there, seconds, words)

    async def react(self, name: str, thread: int, words: str, emoji: str = THUMB, *, back: bool = False) -> None:
        """React to a message, or take the reaction back."""
        member = await self.named(name)
        message = await self.said(name, thread, words)
        await (member.unreact(message, emoji) if back else member.react(message, emoji))

    async def press(self, name: str, thread: int, words: str, button: str) -> SeenMessage:
        """Press a button under a message; gives back the answer that only this member sees."""
        member = await self.named(name)
        answer = await member.click(await self.said(name, thread, words), button, timeout_s=30)
        return await self.until(lambda: _thought(member, answer), 30, f"an answer to {button}")

    async def fetch(self, name: str, message: SeenMessage, folder: Path) -> list[Path]:
        """Download a message's files."""
        member = await self.named(name)
        paths: list[Path] = []
        for file in message.files:
            path = folder / Path(file.filename).name
            path.write_bytes(await member.download(file))
            paths.append(path)
        return paths

    async def until(self, look: Callable[[], Awaitable[T | None]], seconds: float, what: str) -> T:
        """Wait for something to be seen. Raises `NotSeen`."""
        try:
            async with asyncio.timeout(seconds):
                while (found := await look()) is None:  # noqa: ASYNC110  # it is over HTTP
                    await asyncio.sleep(0.2)
                return found
        except TimeoutError as error:
            raise NotSeen(f"{what} did not come within {seconds:.0f} s") from error


async def _thought(member: Member, answer: Any) -> SeenMessage | None:  # noqa: ANN401  # the answer to an interaction
    said = await member.reply_of(answer)
    return None if said.thinking else said


def order_of(message: SeenMessage) -> str:
    """The id of the order that a message's buttons belong to."""
    for part in message.parts():
        if match := re.fullmatch(r"[a-z]+:([2-9a-z]{8})(:.*)?", str(part.get("custom_id", ""))):
            return match[1]
    raise LookupError("no button of an order")


def link_in(message: SeenMessage, words: str = "") -> str:
    """The address behind a link button. Raises `LookupError`."""
    for part in message.parts():
        if part.get("url") and words in part.get("label", ""):
            return str(part["url"])
    raise LookupError(f"no link {words!r}")


async def get(url: str) -> bytes:
    """What a browser would fetch."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=120)) as session, session.get(url) as answer:
        answer.raise_for_status()
        return await answer.read()
