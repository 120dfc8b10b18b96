"""The same bot on the loopback and on simcord, another author's simulation: where both can be asked, they must agree.

simcord 3.2.1 (MIT) works inside the process and shares no code or data with the loopback.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import discord
import pytest

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from conftest import Player, Stage

Outcomes = dict[str, Any]
# Where simcord answers otherwise, and why ours stands. Codes: Discord's opcodes-and-status-codes page.
DIFFERENT: dict[str, str] = {
    "same nonce twice": "simcord ignores enforce_nonce; the documents promise the first message",
    "empty": "50006 is the code that the documents give for an empty message; simcord has the general 50035",
    "picture of an embed": "files used in embeds are not listed: https://github.com/discord/discord-api-docs/pull/8279",
    "too big": "40005; simcord has no size limits",
    "21st emoji": "30010; simcord has no limit of kinds",
    "a word as emoji": "10014; simcord takes any text",
    "second thread": "160004; simcord opens another",
    "reaction in an archived thread": "50083; simcord does not look",
    "awake": "a message wakes an archived thread; in simcord it sleeps on",
}


async def outcome(deed: Awaitable[Any]) -> Any:
    """What a call came to: its error code, or that it went well."""
    try:
        await deed
    except discord.HTTPException as error:
        return error.status, error.code
    return "done"


def file(name: str, size: int = 10) -> discord.File:
    return discord.File(io.BytesIO(bytes(size)), name)


def twins() -> discord.ui.View:
    view = discord.ui.View(timeout=None)
    view.add_item(discord.ui.Button(label="a", custom_id="same"))
    view.add_item(discord.ui.Button(label="b", custom_id="same"))
    return view


async def examine_messages(channel: Any, others: discord.Message) -> Outcomes:
    sent = await channel.send("grid", file=file("grid.png"))
    found: Outcomes = {
        "attachments": [a.filename for a in sent.attachments],
        "empty": await outcome(channel.send("")),
        "too long": await outcome(channel.send("x" * 2001)),
        "one custom_id twice": await outcome(channel.send("x", view=twins())),
        "too big": await outcome(channel.send(file=file("big.bin", 10 * 1024 * 1024 + 1))),
        "unknown message": await outcome(channel.fetch_message(1)),
        "another's message": await outcome(others.edit(content="mine")),
    }
    embed = discord.Embed(title="x").set_image(url="attachment://a.png")
    shown = await channel.send(embed=embed, file=file("a.png"))
    found["picture of an embed"] = len(shown.attachments)
    first = await channel.send("once", nonce="n1")
    found["same nonce twice"] = (await channel.send("twice", nonce="n1")).id == first.id
    edited = await sent.edit(content="v2", attachments=[file("new.png")])
    found["edited"] = ([a.filename for a in edited.attachments], edited.edited_at is not None)
    return found


async def examine_reactions(channel: Any) -> Outcomes:
    grid = await channel.send("grid")
    for number in range(20):
        await grid.add_reaction(chr(0x1F600 + number))
    found: Outcomes = {
        "21st emoji": await outcome(grid.add_reaction("🎉")),
        "a word as emoji": await outcome(grid.add_reaction("yes")),
        "twice the same": await outcome(grid.add_reaction(chr(0x1F600))),
    }
    fresh = await grid.fetch()
    found["counts"] = sorted({(r.count, r.me) for r in fresh.reactions})
    found["people"] = [u.bot async for u in fresh.reactions[0].users()]
    return found


async def examine_threads(channel: Any) -> Outcomes:
    root = await channel.send("root")
    thread = await root.create_thread(name="order")
    inside = await thread.send("inside")
    found: Outcomes = {
        "same id": thread.id == root.id,
        "second thread": await outcome(root.create_thread(name="again")),
    }
    await thread.edit(archived=True)
    found["reaction in an archived thread"] = await outcome(inside.add_reaction("👍"))
    found["message wakes it"] = await outcome(thread.send("awake"))
    found["awake"] = (await thread.guild.fetch_channel(thread.id)).archived
    await root.delete()
    found["thread outlives its message"] = await outcome(thread.send("still here"))
    return found


def examined(bot: Any, found: Outcomes) -> None:
    """Give a bot the command that examines the place it is run in."""

    @bot.tree.command(description="Examine")
    async def examine(interaction: discord.Interaction) -> None:
        await interaction.response.defer(ephemeral=True)
        interaction.response._response_type = None
        found["second answer"] = await outcome(interaction.response.send_message("again"))
        channel: Any = interaction.channel
        others = [m async for m in channel.history(limit=None)][-1]
        for part in (examine_messages(channel, others), examine_reactions(channel), examine_threads(channel)):
            found.update(await part)
        await interaction.followup.send("whisper", ephemeral=True)
        found["a whisper in the history"] = "whisper" in [m.content async for m in channel.history(limit=None)]
        found["original"] = (await interaction.original_response()).content


async def on_simcord() -> Outcomes:
    simcord = pytest.importorskip("simcord")
    from discord import app_commands

    found: Outcomes = {}

    class Bot(discord.Client):
        tree: app_commands.CommandTree[Any]

        async def setup_hook(self) -> None:
            await self.tree.sync()

    bot = Bot(intents=discord.Intents.default())
    bot.tree = app_commands.CommandTree(bot)
    examined(bot, found)
    async with simcord.run(bot) as env:
        guild = env.create_guild()
        channel = guild.create_text_channel("lora")
        ada = guild.add_member(env.create_user("ada"))
        await ada.send(channel, "mine")
        await ada.slash(channel, "examine")
    return found


async def on_loopback(stage: Stage) -> Outcomes:
    found: Outcomes = {}

    def prepare(player: Player) -> None:
        examined(player, found)

    await stage.bot(prepare)
    ada = await stage.member("Ada")
    await ada.post_message(stage.lora, "mine")
    await ada.slash("examine", channel=stage.lora)
    await stage.eventually(lambda: "original" in found)
    return found


async def test_two_simulations_by_two_authors_agree(stage: Stage) -> None:
    stage.tolerated = True  # the examination breaks rules on purpose
    ours = await on_loopback(stage)
    theirs = await on_simcord()
    differing = {k for k in ours | theirs if ours.get(k) != theirs.get(k)}
    disagreed = {k: (ours.get(k), theirs.get(k)) for k in sorted(differing)}
    assert differing == set(DIFFERENT), disagreed
