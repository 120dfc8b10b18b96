"""Interactions as discord.py meets them: commands, modals, components, deadlines, tokens."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any

import discord
import pytest
from discord import app_commands

from bot.loopback.member import DidNotRespond, Refused
from bot.loopback.rules import Rules

if TYPE_CHECKING:
    from conftest import Player, Stage


def trainer(player: Player) -> None:
    @player.tree.command(description="Train a LoRA from pictures")
    @app_commands.choices(kind=[app_commands.Choice(name="a person", value="person")])
    async def train(
        interaction: discord.Interaction, subject: str, image1: discord.Attachment, kind: str = "person"
    ) -> None:
        content = await image1.read()
        digest = hashlib.sha256(content).hexdigest()
        await interaction.response.send_message(f"{subject} {kind} {digest} {image1.width}", ephemeral=True)


async def test_a_slash_command_with_a_picture_arrives_whole(stage: Stage) -> None:
    await stage.bot(trainer)
    ada = await stage.member("Ada")
    gif = b"GIF89a\x40\x00\x20\x00" + b"\x00" * 50
    answer = await ada.slash(
        "train", channel=stage.lora, options={"subject": "Rex"}, files={"image1": ("a b.gif", gif)}
    )
    reply = await ada.reply_of(answer)
    assert reply.content == f"Rex person {hashlib.sha256(gif).hexdigest()} 64"
    assert reply.ephemeral
    assert reply.raw["type"] == 20
    assert [a.after_ms for a in stage.server.service.record.acknowledgements] == [answer.after_ms]


async def test_an_ephemeral_answer_has_one_reader(stage: Stage) -> None:
    player = await stage.bot(trainer)
    ada, bruno = await stage.member("Ada"), await stage.member("Bruno")
    await ada.slash("train", channel=stage.lora, options={"subject": "Rex"}, files={"image1": ("a.gif", b"GIF")})
    whisper = (await ada.visible_messages(stage.lora))[0]
    with pytest.raises(Refused):
        await ada.react(whisper, "👍")
    with pytest.raises(Refused):
        await bruno.act("unsay", channel_id=str(stage.lora), message_id=str(whisper.id))
    assert await bruno.visible_messages(stage.lora) == []
    assert [m async for m in player.get_channel(stage.lora).history()] == []
    await ada.delete(whisper)
    assert await ada.visible_messages(stage.lora) == []


@pytest.mark.parametrize(
    "options",
    [{}, {"subject": "Rex", "kind": "nobody"}, {"subject": "Rex", "colour": "red"}, {"subject": 5}],
    ids=["missing", "no such choice", "unknown", "wrong type"],
)
async def test_the_client_lets_no_wrong_option_through(stage: Stage, options: dict[str, Any]) -> None:
    await stage.bot(trainer)
    ada = await stage.member("Ada")
    with pytest.raises(Refused) as refused:
        await ada.slash("train", channel=stage.lora, options=options, files={"image1": ("a.gif", b"GIF")})
    assert refused.value.code == 50035


async def test_an_unknown_command_is_refused_and_no_file_of_another_can_be_used(stage: Stage) -> None:
    await stage.bot(trainer)
    ada, bruno = await stage.member("Ada"), await stage.member("Bruno")
    with pytest.raises(Refused) as refused:
        await ada.slash("teach", channel=stage.lora)
    assert refused.value.code == 10063
    mine = await bruno.upload(("a.gif", b"GIF"))
    with pytest.raises(Refused):
        await ada.slash("train", channel=stage.lora, options={"subject": "Rex", "image1": mine})


class Form(discord.ui.Modal, title="Pictures"):
    """Three uploads, a choice and a text: the most a modal holds."""

    first: Any = discord.ui.Label(text="One", component=discord.ui.FileUpload(custom_id="one", max_values=10))
    second: Any = discord.ui.Label(
        text="Two", component=discord.ui.FileUpload(custom_id="two", max_values=10, required=False)
    )
    third: Any = discord.ui.Label(
        text="Three", component=discord.ui.FileUpload(custom_id="three", max_values=10, required=False)
    )
    kind: Any = discord.ui.Label(
        text="Kind",
        component=discord.ui.Select(custom_id="kind", options=[discord.SelectOption(label="a dog", value="dog")]),
    )
    trigger: Any = discord.ui.Label(text="Word", component=discord.ui.TextInput(custom_id="word", max_length=10))

    async def on_submit(self, interaction: discord.Interaction) -> None:
        """Say what came."""
        parts = (self.first, self.second, self.third)
        names = [[a.filename for a in p.component.values] for p in parts]
        text = f"{names} {self.kind.component.values} {self.trigger.component.value}"
        await interaction.response.send_message(text, ephemeral=True)


def asker(player: Player) -> None:
    @player.tree.command(description="Ask")
    async def ask(interaction: discord.Interaction) -> None:
        await interaction.response.send_modal(Form(custom_id="form:1"))


async def test_a_modal_with_three_file_uploads_brings_all_of_them(stage: Stage) -> None:
    await stage.bot(asker)
    ada = await stage.member("Ada")
    opened = await ada.slash("ask", channel=stage.lora)
    assert opened.state == "modal"
    assert opened.modal is not None
    assert opened.modal["title"] == "Pictures"
    files = [(f"{n}.png", b"x" * n) for n in range(1, 8)]
    values = {"one": files[:3], "two": files[3:5], "three": files[5:], "kind": "dog", "word": "rexo"}
    reply = await ada.reply_of(await ada.submit_modal(opened, values))
    expected = [[f"{n}.png" for n in group] for group in ((1, 2, 3), (4, 5), (6, 7))]
    assert reply.content == f"{expected} ['dog'] rexo"
    assert reply.raw["interaction_metadata"]["triggering_interaction_metadata"]["id"] == str(opened.interaction_id)


@pytest.mark.parametrize(
    "values",
    [
        {"one": [], "kind": "dog", "word": "a"},
        {"one": [("a.png", b"x")] * 11, "kind": "dog", "word": "a"},
        {"one": [("a.png", b"x")], "kind": "cat", "word": "a"},
        {"one": [("a.png", b"x")], "kind": "dog", "word": "a" * 11},
        {"one": [("a.png", b"x")], "kind": "dog", "word": "a", "colour": "red"},
    ],
    ids=["no file", "eleven files", "no such choice", "too long", "unknown"],
)
async def test_a_modal_cannot_be_sent_out_of_its_bounds(stage: Stage, values: dict[str, Any]) -> None:
    await stage.bot(asker)
    ada = await stage.member("Ada")
    opened = await ada.slash("ask", channel=stage.lora)
    with pytest.raises(Refused) as refused:
        await ada.submit_modal(opened, values)
    assert refused.value.code == 50035


class Buttons(discord.ui.View):
    """One that edits, one that asks, a select."""

    def __init__(self) -> None:
        super().__init__(timeout=None)

    @discord.ui.button(label="Start", custom_id="start")
    async def start(self, interaction: discord.Interaction, _: Any) -> None:
        """Change the message."""
        await interaction.response.edit_message(content="started", view=None)

    @discord.ui.button(label="Ask", custom_id="ask")
    async def ask(self, interaction: discord.Interaction, _: Any) -> None:
        """Open a modal."""
        await interaction.response.send_modal(Form(custom_id="form:2"))

    @discord.ui.select(custom_id="pick", options=[discord.SelectOption(label=c, value=c) for c in "ab"])
    async def pick(self, interaction: discord.Interaction, select: Any) -> None:
        """Answer later."""
        await interaction.response.defer()
        await interaction.followup.send(f"picked {select.values}")


async def test_buttons_and_selects_reach_their_view(stage: Stage) -> None:
    player = await stage.bot()
    root = await player.get_channel(stage.lora).send("choose", view=Buttons())
    ada = await stage.member("Ada")
    seen = await ada.message(stage.lora, root.id)
    await ada.click(seen, "pick", values=["b"])
    assert (
        await ada.wait_message(lambda m: m.content == "picked ['b']", channel=stage.lora)
    ).author_id == player.user.id
    opened = await ada.click(seen, "Ask")
    values = {"one": [("a.png", b"x")], "kind": "dog", "word": "rexo"}
    assert (await ada.submit_modal(opened, values)).state == "answered"
    answer = await ada.click(seen, "Start")
    assert answer.answer_kind == 7
    seen = await ada.message(stage.lora, root.id)
    assert (seen.content, seen.components, seen.edited) == ("started", [], True)
    with pytest.raises(LookupError):
        await ada.click(seen, "Start")


async def test_a_command_on_a_message_gets_the_whole_message(stage: Stage) -> None:
    def prepare(player: Player) -> None:
        @player.tree.context_menu(name="Train from these pictures")
        async def these(interaction: discord.Interaction, message: discord.Message) -> None:
            names = [a.filename for a in message.attachments]
            await interaction.response.send_message(f"{message.content} {names}")

    await stage.bot(prepare)
    ada, bruno = await stage.member("Ada"), await stage.member("Bruno")
    post = await bruno.post_message(stage.lora, "my dog", files=[("1.png", b"x"), ("2.png", b"y")])
    answer = await ada.on_message("Train from these pictures", message=post)
    assert (await ada.reply_of(answer)).content == "my dog ['1.png', '2.png']"


async def test_a_deferred_answer_thinks_until_the_first_follow_up_takes_its_place(stage: Stage) -> None:
    gate = asyncio.Event()

    def prepare(player: Player) -> None:
        @player.tree.command(description="Later")
        async def later(interaction: discord.Interaction) -> None:
            await interaction.response.defer(ephemeral=True, thinking=True)
            await gate.wait()
            await interaction.followup.send("first")
            await interaction.followup.send("second", ephemeral=True)
            await interaction.edit_original_response(content="changed")

    await stage.bot(prepare)
    ada = await stage.member("Ada")
    answer = await ada.slash("later", channel=stage.lora)
    thinking = await ada.reply_of(answer)
    assert (thinking.thinking, thinking.ephemeral) == (True, True)
    gate.set()
    await ada.wait_message(lambda m: m.content == "changed")
    assert [m.content for m in await ada.visible_messages(stage.lora)] == ["changed", "second"]
    assert all(m.ephemeral for m in await ada.visible_messages(stage.lora))


class TestShortPatience:
    """With a third of a second instead of three."""

    @pytest.fixture
    def rules(self) -> Rules:
        return Rules(answer_within_s=0.3)

    async def test_an_answer_after_the_deadline_finds_no_interaction(self, stage: Stage) -> None:
        def prepare(player: Player) -> None:
            @player.tree.command(description="Slow")
            async def slow(interaction: discord.Interaction) -> None:
                await asyncio.sleep(0.5)
                await interaction.response.send_message("too late")

        player = await stage.bot(prepare)
        ada = await stage.member("Ada")
        with pytest.raises(DidNotRespond):
            await ada.slash("slow", channel=stage.lora)
        await stage.eventually(lambda: player.failures)
        failure = player.failures[0]
        assert isinstance(failure, discord.NotFound)
        assert failure.code == 10062

    async def test_without_a_bot_the_member_reads_that_it_did_not_respond(self, stage: Stage) -> None:
        player = await stage.bot(trainer)
        await player.close()
        ada = await stage.member("Ada")
        with pytest.raises(DidNotRespond):
            await ada.slash("train", channel=stage.lora, options={"subject": "x"}, files={"image1": ("a.gif", b"")})


async def test_a_second_answer_is_40060_and_a_dead_token_is_50027(stage: Stage) -> None:
    kept: list[discord.Interaction] = []

    def prepare(player: Player) -> None:
        @player.tree.command(description="Once")
        async def once(interaction: discord.Interaction) -> None:
            await interaction.response.send_message("once")
            kept.append(interaction)

    await stage.bot(prepare)
    await (await stage.member("Ada")).slash("once", channel=stage.lora)
    await stage.eventually(lambda: kept)
    kept[0].response._response_type = None
    with pytest.raises(discord.HTTPException) as twice:
        await kept[0].response.send_message("twice")
    assert twice.value.code == 40060
    await stage.director.direct("advance", seconds=15 * 60 + 1)
    with pytest.raises(discord.HTTPException) as dead:
        await kept[0].followup.send("late")
    assert (dead.value.status, dead.value.code) == (401, 50027)


async def test_choices_are_completed_while_typing(stage: Stage) -> None:
    def prepare(player: Player) -> None:
        @player.tree.command(description="Pick")
        async def pick(interaction: discord.Interaction, what: str) -> None:
            await interaction.response.send_message(what)

        @pick.autocomplete("what")
        async def offer(_: discord.Interaction, typed: str) -> list[app_commands.Choice[str]]:
            return [app_commands.Choice(name=typed + end, value=typed + end) for end in ("ox", "urry")]

    await stage.bot(prepare)
    ada = await stage.member("Ada")
    choices = await ada.complete("pick", channel=stage.lora, options={"what": "f"}, focused="what")
    assert [c["value"] for c in choices] == ["fox", "furry"]


async def test_a_command_for_moderators_is_for_moderators(stage: Stage) -> None:
    def prepare(player: Player) -> None:
        @player.tree.command(description="Rule")
        @app_commands.default_permissions(manage_guild=True)
        async def rule(interaction: discord.Interaction) -> None:
            await interaction.response.send_message(str(interaction.permissions.manage_messages))

    await stage.bot(prepare)
    mira, ada = await stage.member("Mira"), await stage.member("Ada")
    assert (await mira.reply_of(await mira.slash("rule", channel=stage.lora))).content == "True"
    with pytest.raises(Refused) as refused:
        await ada.slash("rule", channel=stage.lora)
    assert refused.value.code == 50013


async def test_a_sync_keeps_the_ids_of_known_names_and_refuses_bad_definitions(stage: Stage) -> None:
    player = await stage.bot(trainer)
    guild = player.guilds[0]
    before = {c.name: c.id for c in await player.tree.fetch_commands(guild=guild)}
    asker(player)
    player.tree.copy_global_to(guild=guild)
    after = {c.name: c.id for c in await player.tree.sync(guild=guild)}
    assert after["train"] == before["train"]
    assert set(after) == {"train", "ask"}
