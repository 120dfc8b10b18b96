"""Reactions: raw events, order, paging, limits, taking back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import discord
import pytest

from bot.loopback.founding import ServerPlan, WorldPlan, found
from bot.loopback.member import Refused

if TYPE_CHECKING:
    from conftest import Stage


async def test_members_votes_come_as_raw_events_with_who_and_where(stage: Stage) -> None:
    player = await stage.bot()
    grid = await player.get_channel(stage.lora).send("grid")
    await grid.add_reaction("👍")
    ada, bruno = await stage.member("Ada"), await stage.member("Bruno")
    seen = await ada.message(stage.lora, grid.id)
    await ada.react(seen, "👍")
    await bruno.react(seen, "👍")
    await ada.unreact(seen, "👍")
    added = await player.hear("raw_reaction_add", 3)
    removed = (await player.hear("raw_reaction_remove"))[0]
    assert [p.user_id for p in added] == [player.user.id, ada.user_id, bruno.user_id]
    assert added[1].member.display_name == "Ada"
    assert (added[1].message_author_id, str(added[1].emoji)) == (player.user.id, "👍")
    assert (removed.user_id, removed.message_id) == (ada.user_id, grid.id)
    fresh = await grid.fetch()
    assert [(r.count, r.me) for r in fresh.reactions] == [(2, True)]
    assert {u.id async for u in fresh.reactions[0].users()} == {player.user.id, bruno.user_id}


async def test_reacting_twice_counts_once(stage: Stage) -> None:
    player = await stage.bot()
    grid = await player.get_channel(stage.lora).send("grid")
    for _ in range(2):
        await grid.add_reaction("👍")
    assert (await grid.fetch()).reactions[0].count == 1
    assert len(await player.hear("raw_reaction_add")) == 1


async def test_people_are_paged_by_a_hundred(stage: Stage) -> None:
    names = tuple(f"Member {n}" for n in range(130))
    crowd = found(WorldPlan(servers=(ServerPlan(name="Crowd", channels=("vote",), members=names),)))
    player = await stage.bot()
    world = stage.server.world
    world.users |= {u.id: u for u in crowd.users.values() if not u.bot}
    guild = next(iter(world.guilds.values()))
    guild.members |= {u: m for g in crowd.guilds.values() for u, m in g.members.items() if not crowd.users[u].bot}
    grid = await player.get_channel(stage.lora).send("grid")
    said = world.message(stage.lora, grid.id)
    assert said is not None
    for user_id in list(guild.members)[-130:]:
        stage.server_react(said, user_id)
    found_ids = [u.id async for u in (await grid.fetch()).reactions[0].users()]
    assert len(found_ids) == 130
    assert set(found_ids) == set(list(guild.members)[-130:])
    calls = [c for c in await stage.director.transcript() if c["route"].startswith("GET") and "reactions" in c["route"]]
    assert [c["query"]["limit"] for c in calls] == ["100", "30"]


async def test_the_twenty_first_kind_and_a_word_are_refused(stage: Stage) -> None:
    player = await stage.bot()
    grid = await player.get_channel(stage.lora).send("grid")
    for number in range(20):
        await grid.add_reaction(chr(0x1F600 + number))
    with pytest.raises(discord.HTTPException) as full:
        await grid.add_reaction("🎉")
    assert full.value.code == 30010
    ada = await stage.member("Ada")
    with pytest.raises(Refused) as word:
        await ada.react(await ada.message(stage.lora, grid.id), "yes")
    assert word.value.code == 10014


async def test_keycaps_and_joined_emoji_are_emoji(stage: Stage) -> None:
    player = await stage.bot()
    grid = await player.get_channel(stage.lora).send("grid")
    for emoji in ("1️⃣", "👩‍🎨", "❤️"):
        await grid.add_reaction(emoji)
    assert [str(r.emoji) for r in (await grid.fetch()).reactions] == ["1️⃣", "👩‍🎨", "❤️"]


async def test_a_moderating_bot_can_clear_reactions(stage: Stage) -> None:
    player = await stage.bot()
    grid = await player.get_channel(stage.lora).send("grid")
    ada = await stage.member("Ada")
    seen = await ada.message(stage.lora, grid.id)
    for emoji in "👍👎🎉":
        await ada.react(seen, emoji)
    await grid.remove_reaction("👍", discord.Object(ada.user_id))
    await grid.clear_reaction("👎")
    assert [str(r.emoji) for r in (await grid.fetch()).reactions] == ["🎉"]
    await grid.clear_reactions()
    assert (await grid.fetch()).reactions == []
    await player.hear("raw_reaction_clear")
    await player.hear("raw_reaction_clear_emoji")
