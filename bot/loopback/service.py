"""The one object that all doors share: world, clock, rules, record, gateway. Doors are REST, gateway, CDN and members."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bot.loopback import events, objects, sayings
from bot.loopback.cdn import signed
from bot.loopback.failures import Refusal
from bot.loopback.faults import Faults
from bot.loopback.permissions import has, in_channel
from bot.loopback.rates import Rates
from bot.loopback.record import Record
from bot.loopback.rules import UPLOAD_BYTES_BY_TIER, Rules
from bot.loopback.snowflakes import Clock, Snowflakes
from bot.loopback.world import DM, JSON, Attachment, Channel, Guild, Message, User, World

if TYPE_CHECKING:
    from pathlib import Path

    from bot.loopback.contract import Contract
    from bot.loopback.gateway import Gateway

GUILDS, GUILD_MEMBERS, GUILD_MESSAGES, GUILD_REACTIONS = 1 << 0, 1 << 1, 1 << 9, 1 << 10
DIRECT_MESSAGES, DIRECT_REACTIONS, MESSAGE_CONTENT = 1 << 12, 1 << 13, 1 << 15
ALWAYS = 0


@dataclass(kw_only=True)
class Service:
    """State and the few verbs that every door needs."""

    world: World
    contract: Contract
    blobs: Path  # folder of file bytes, named by attachment id
    clock: Clock = field(default_factory=Clock)
    rules: Rules = field(default_factory=Rules)
    record: Record = field(default_factory=Record)
    faults: Faults = field(default_factory=Faults)
    rates: Rates = field(default_factory=Rates)
    origin: str = ""  # http://127.0.0.1:port, known once the socket listens
    gateway: Gateway = field(init=False)
    ids: Snowflakes = field(init=False)

    def __post_init__(self) -> None:
        self.ids = Snowflakes(clock=self.clock)

    # -- looking things up, with Discord's refusals

    def channel(self, channel_id: int) -> Channel:
        """A channel by id, or 10003."""
        found = self.world.channels.get(channel_id)
        if found is None:
            raise Refusal(10003)
        return found

    def message(self, channel_id: int, message_id: int) -> Message:
        """A public message by id, or 10008."""
        found = self.world.message(channel_id, message_id)
        if found is None or found.visible_to is not None:
            raise Refusal(10008)
        return found

    def bot_guild(self, guild_id: int) -> Guild:
        """A server the bot is in, or 10004."""
        found = self.world.guilds.get(guild_id)
        if found is None or self.world.bot_id not in found.members:
            raise Refusal(10004)
        return found

    def bot_channel(self, channel_id: int, *needed: str) -> Channel:
        """A channel in which the bot has the named permissions; else 10003, 50001 or 50013."""
        place = self.channel(channel_id)
        self.need(place, self.world.bot_id, *needed)
        return place

    def need(self, place: Channel, user_id: int, *names: str) -> None:
        """Refuse with 50001 (cannot see it) or 50013 (may not do it)."""
        granted = in_channel(self.world, place, user_id)
        if not has(granted, "VIEW_CHANNEL"):
            raise Refusal(50001)
        if not has(granted, *names):
            raise Refusal(50013)

    def can_see(self, user_id: int, place: Channel) -> bool:
        """Whether a user sees a channel at all."""
        return has(in_channel(self.world, place, user_id), "VIEW_CHANNEL")

    def upload_limit(self, guild_id: int | None) -> int:
        """Bytes of one file that the bot may post there."""
        guild = self.world.guilds.get(guild_id or 0)
        return UPLOAD_BYTES_BY_TIER[guild.premium_tier if guild else 0]

    # -- wire forms

    def link(self, item: Attachment) -> str:
        """A freshly signed link to a file."""
        return signed(item, self)

    def wire(self, said: Message, *, me: int | None = None) -> JSON:
        """A message as `me` (by default the bot) gets it."""
        return sayings.message(self.world, said, self.link, me=self.world.bot_id if me is None else me)

    def member(self, guild_id: int, user_id: int) -> JSON:
        """A member of a server."""
        return objects.member(self.world, self.world.guilds[guild_id].members[user_id])

    # -- telling

    def tell_bot(self, event: str, data: JSON, *, intent: int, place: Channel | None = None) -> None:
        """Send a gateway event, if the bot sees the place it happened in."""
        if place is not None and not self.can_see(self.world.bot_id, place):
            return
        self.check_event(event, data)
        self.gateway.dispatch(event, data, intent=intent)

    def tell_about_message(self, event: str, said: Message) -> None:
        """MESSAGE_CREATE or MESSAGE_UPDATE to the bot; without the content intent the content stays out."""
        place = self.world.channels[said.channel_id]
        if said.visible_to is not None or not self.can_see(self.world.bot_id, place):
            return
        data = self.wire(said)
        self.check_event(event, data)
        intent = DIRECT_MESSAGES if place.kind == DM else GUILD_MESSAGES
        if place.guild_id:
            data["guild_id"] = str(place.guild_id)
            author = self.world.guilds[place.guild_id].members.get(said.author_id)
            if author:
                data["member"] = {k: v for k, v in objects.member(self.world, author).items() if k != "user"}
        exempt = place.kind == DM or said.author_id == self.world.bot_id or self.world.bot_id in said.mentions
        blank = data if exempt else data | {"content": "", "embeds": [], "attachments": [], "components": []}
        self.gateway.dispatch(event, data, intent=intent, without_content=blank)

    def tell_people(self, type_: str, data: JSON, *, place: Channel | None = None, audience: int | None = None) -> None:
        """Note what the chat shows."""
        channel_id = place.id if place else None
        self.record.happen(type_, data, at=self.clock.now(), channel_id=channel_id, audience=audience)

    def check_event(self, event: str, data: JSON) -> None:
        """Hold an event's data to the schemas of the same objects over HTTP."""
        for problem in events.problems(self.contract, event, data):
            self.record.violate(where="event", route=event, path=problem.path, message=problem.message)


MENTION = re.compile(r"<@!?(\d+)>")


def mentioned(world: World, content: str, allowed: JSON | None) -> tuple[list[int], bool]:
    """Whom a text notifies: the users, and whether everyone; `allowed` is the request's allowed_mentions."""
    people = [int(m) for m in MENTION.findall(content) if int(m) in world.users]
    everyone = "@everyone" in content or "@here" in content
    if allowed is None:
        return list(dict.fromkeys(people)), everyone
    parse = allowed.get("parse") or []
    named = {int(u) for u in allowed.get("users") or []}
    kept = [p for p in people if "users" in parse or p in named]
    return list(dict.fromkeys(kept)), everyone and "everyone" in parse


def person(service: Service, user_id: Any) -> User:  # noqa: ANN401  # ids come as text or number
    """A user by id, or 10013."""
    found = service.world.users.get(int(user_id))
    if found is None:
        raise Refusal(10013)
    return found
