"""A world to begin with: who lives in it, described by a small frozen value (or the same as JSON)."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bot.loopback.permissions import BITS, ORDINARY
from bot.loopback.snowflakes import Clock, Snowflakes
from bot.loopback.world import TEXT, VOICE, Channel, Guild, Membership, Role, User, World

if TYPE_CHECKING:
    from collections.abc import Mapping

BOT_NEEDS = ORDINARY | BITS["MANAGE_MESSAGES"]
MODERATES = BITS["MANAGE_MESSAGES"] | BITS["MANAGE_GUILD"] | BITS["MANAGE_THREADS"] | BITS["KICK_MEMBERS"]


@dataclass(frozen=True, kw_only=True)
class ServerPlan:
    """One server: the first member owns it."""

    name: str
    channels: tuple[str, ...]
    voice: tuple[str, ...] = ()
    """Voice channels: they have a text chat, and there can be no thread in it."""
    members: tuple[str, ...]
    moderators: tuple[str, ...] = ()
    premium_tier: int = 0
    bot_permissions: int = BOT_NEEDS
    with_bot: bool = True


@dataclass(frozen=True, kw_only=True)
class WorldPlan:
    """The whole world. Members are named once and may live in several servers."""

    servers: tuple[ServerPlan, ...]
    bot_name: str = "lorasmith"
    locales: Mapping[str, str] = field(default_factory=dict)
    token: str | None = None

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> WorldPlan:
        """The same from a JSON object; an unknown key is an error."""
        servers = tuple(_server_plan(s) for s in data["servers"])
        return cls(**(data | {"servers": servers}))


def _server_plan(data: dict[str, Any]) -> ServerPlan:
    filled: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
    return ServerPlan(**filled)


DEFAULT = WorldPlan(
    servers=(
        ServerPlan(
            name="Loopback",
            channels=("lora", "general"),
            members=("Olive", "Ada", "Bruno", "Chidi", "Dalia", "Mira"),
            moderators=("Mira",),
        ),
        ServerPlan(name="Second Loop", channels=("studio",), members=("Esra", "Finn")),
    ),
)


def found(plan: WorldPlan = DEFAULT, *, clock: Clock | None = None) -> World:
    """Build a world from its plan. Ids are new each time, as on the real service."""
    clock = clock or Clock()
    ids = Snowflakes(clock=clock)
    world = World(bot_id=ids.new(), application_id=ids.new(), token=plan.token or _token())
    world.users[world.bot_id] = User(id=world.bot_id, name=plan.bot_name, display_name=plan.bot_name, bot=True)
    people: dict[str, int] = {}
    for server in plan.servers:
        for name in server.members:
            if name not in people:
                people[name] = ids.new()
                locale = plan.locales.get(name, "en-US")
                made = User(id=people[name], name=name.lower(), display_name=name, locale=locale)
                world.users[made.id] = made
        _settle(world, server, people, ids, clock)
    return world


def _settle(world: World, plan: ServerPlan, people: dict[str, int], ids: Snowflakes, clock: Clock) -> None:
    guild = Guild(id=ids.new(), name=plan.name, owner_id=people[plan.members[0]], premium_tier=plan.premium_tier)
    moderator, bot_role = ids.new(), ids.new()
    guild.roles = {
        guild.id: Role(id=guild.id, name="@everyone", permissions=ORDINARY),
        moderator: Role(id=moderator, name="moderator", permissions=MODERATES, position=1),
        bot_role: Role(
            id=bot_role, name=world.users[world.bot_id].name, permissions=plan.bot_permissions, position=2, managed=True
        ),
    }
    for name in plan.members:
        roles = [moderator] if name in plan.moderators else []
        guild.members[people[name]] = Membership(user_id=people[name], joined_at=clock.now(), role_ids=roles)
    if plan.with_bot:
        guild.members[world.bot_id] = Membership(user_id=world.bot_id, joined_at=clock.now(), role_ids=[bot_role])
    world.guilds[guild.id] = guild
    kinds = [(name, TEXT) for name in plan.channels] + [(name, VOICE) for name in plan.voice]
    for position, (name, kind) in enumerate(kinds):
        number = ids.new()
        world.channels[number] = Channel(id=number, kind=kind, name=name, guild_id=guild.id, position=position)


def _token() -> str:
    """Three parts like a real bot token, so that a scanner for leaked tokens would know it."""
    return f"MTAwMDAwMDAwMDAwMDAwMDAw.Loop{secrets.token_hex(1)}.{secrets.token_hex(19)}"
