"""Roles first, then the channel's overwrites: everyone's, the roles', the member's own."""

from __future__ import annotations

import pytest

from bot.loopback import objects
from bot.loopback.founding import ServerPlan, WorldPlan, found
from bot.loopback.permissions import BITS, EVERYTHING, has, in_channel, in_guild
from bot.loopback.world import Channel, Guild, Overwrite, World

SEND = BITS["SEND_MESSAGES"]


@pytest.fixture
def world() -> World:
    return found()


def guild_of(world: World) -> Guild:
    return next(g for g in world.guilds.values() if g.name == "Loopback")


def lora(world: World) -> Channel:
    return next(c for c in world.channels.values() if c.name == "lora")


def person(world: World, name: str) -> int:
    return next(u.id for u in world.users.values() if u.display_name == name)


def test_the_owner_may_everything_a_stranger_nothing(world: World) -> None:
    assert in_guild(guild_of(world), person(world, "Olive")) == EVERYTHING
    assert in_guild(guild_of(world), person(world, "Esra")) == 0
    assert in_channel(world, lora(world), person(world, "Esra")) == 0


def test_a_moderator_has_what_the_role_gives(world: World) -> None:
    assert has(in_guild(guild_of(world), person(world, "Mira")), "MANAGE_GUILD", "MANAGE_MESSAGES")
    assert not has(in_guild(guild_of(world), person(world, "Ada")), "MANAGE_GUILD")


def test_a_members_own_overwrite_wins_over_the_roles_and_the_roles_over_everyones(world: World) -> None:
    place, guild = lora(world), guild_of(world)
    mira = person(world, "Mira")
    role = guild.members[mira].role_ids[0]
    place.overwrites[guild.id] = Overwrite(id=guild.id, kind=0, deny=SEND)
    assert not has(in_channel(world, place, person(world, "Ada")), "SEND_MESSAGES")
    place.overwrites[role] = Overwrite(id=role, kind=0, allow=SEND)
    assert has(in_channel(world, place, mira), "SEND_MESSAGES")
    place.overwrites[mira] = Overwrite(id=mira, kind=1, deny=SEND)
    assert not has(in_channel(world, place, mira), "SEND_MESSAGES")


def test_who_cannot_see_a_channel_can_do_nothing_in_it_or_in_its_threads(world: World) -> None:
    place, guild, ada = lora(world), guild_of(world), person(world, "Ada")
    place.overwrites[guild.id] = Overwrite(id=guild.id, kind=0, deny=BITS["VIEW_CHANNEL"])
    thread = Channel(id=1, kind=11, guild_id=guild.id, parent_id=place.id)
    assert in_channel(world, place, ada) == in_channel(world, thread, ada) == 0


def test_a_direct_conversation_belongs_to_its_two(world: World) -> None:
    ada = person(world, "Ada")
    place = Channel(id=1, kind=1, recipients=[world.bot_id, ada])
    assert has(in_channel(world, place, ada), "SEND_MESSAGES")
    assert in_channel(world, place, person(world, "Bruno")) == 0


def test_a_voice_channel_is_founded_with_what_clients_need() -> None:
    plan = ServerPlan(name="Studio", channels=("lora",), voice=("talk",), members=("Ada",))
    world = found(WorldPlan(servers=(plan,)))
    talk = next(c for c in world.channels.values() if c.name == "talk")
    told = objects.channel(world, talk)
    assert (told["type"], told["bitrate"], told["user_limit"]) == (2, 64_000, 0)
