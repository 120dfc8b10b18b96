"""The chat page in a real browser: what a person does there reaches the bot, and nothing overlaps or runs out."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import discord
from discord import app_commands

from bot.loopback import page

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from browser import Page
    from conftest import Player, Stage

READY = "document.querySelectorAll('.message').length > 0 && [...document.images].every(i => i.complete)"
# Pairs of things to press that lie on each other, those in one another aside.
OVERLAPS = """(() => {
  const root = document.querySelector('dialog[open]') ?? document;
  const seen = [...root.querySelectorAll('button, a, select, textarea, input:not(.hidden-input), label.button')]
    .map(e => [e, e.getBoundingClientRect()])
    .filter(([e, r]) => r.width && r.height && e.checkVisibility() && !e.classList.contains('skip'));
  const log = document.getElementById('log').getBoundingClientRect();
  const clear = seen.filter(([e, r]) => !e.closest('#log') || (r.top >= log.top && r.bottom <= log.bottom));
  const found = [];
  clear.forEach(([a, p], i) => clear.slice(i + 1).forEach(([b, q]) => {
    if (a.contains(b) || b.contains(a)) return;
    const wide = Math.min(p.right, q.right) - Math.max(p.left, q.left);
    const high = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
    if (wide > 1 && high > 1) found.push(`${a.outerHTML.slice(0, 60)} | ${b.outerHTML.slice(0, 60)}`);
  }));
  return found;
})()"""
TOO_WIDE = """[document.documentElement, document.body, document.getElementById('log'), document.querySelector('dialog[open]')]
  .filter(e => e && e.scrollWidth > e.clientWidth + 2).map(e => `${e.tagName} ${e.scrollWidth} > ${e.clientWidth}`)"""
NAMELESS = """[...document.querySelectorAll('button, a[href], input, select, textarea, img')].filter(e => e.checkVisibility()
  && !(e.textContent.trim() || e.getAttribute('aria-label') || e.alt || e.labels?.length || e.querySelector('img')))
  .map(e => e.outerHTML.slice(0, 80))"""


def picture(name: str) -> discord.File:
    from PIL import Image

    held = io.BytesIO()
    Image.new("RGB", (1600, 900), "teal").save(held, "PNG")
    return discord.File(io.BytesIO(held.getvalue()), name, description="a grid of eight pictures")


class Pictures(discord.ui.Modal, title="Pictures for a LoRA"):
    """Two uploads, a choice and a word."""

    first: Any = discord.ui.Label(text="Pictures", component=discord.ui.FileUpload(custom_id="one", max_values=10))
    second: Any = discord.ui.Label(
        text="More", component=discord.ui.FileUpload(custom_id="two", max_values=10, required=False)
    )
    kind: Any = discord.ui.Label(
        text="What is it?",
        component=discord.ui.Select(custom_id="kind", options=[discord.SelectOption(label="a dog", value="dog")]),
    )
    word: Any = discord.ui.Label(text="New word", component=discord.ui.TextInput(custom_id="word", max_length=20))

    async def on_submit(self, interaction: discord.Interaction) -> None:
        """Say what came."""
        names = [a.filename for a in self.first.component.values]
        await interaction.response.send_message(f"got {names} {self.kind.component.values} {self.word.component.value}")


def prepare(player: Player) -> None:
    @player.tree.command(description="Train a LoRA from pictures")
    @app_commands.choices(kind=[app_commands.Choice(name="a person", value="person")])
    async def train(interaction: discord.Interaction, kind: str, image1: discord.Attachment | None = None) -> None:
        if image1 is None:
            await interaction.response.send_modal(Pictures())
        else:
            await interaction.response.send_message(f"{kind} {image1.filename} {image1.size}", ephemeral=True)


async def crowd(stage: Stage, player: Player) -> None:
    """A channel with one of everything."""
    channel = player.get_channel(stage.lora)
    ada = await stage.member("Ada")
    await ada.post_message(stage.lora, "https://example.org/" + "long" * 60, files=[("notes.txt", b"x" * 3000)])
    embed = discord.Embed(title="Order 7", description="8 pictures **accepted**", colour=0x4466CC)
    for name in ("Base", "Steps", "Waiting"):
        embed.add_field(name=name, value="words " * 6)
    view = discord.ui.View(timeout=None)
    for number in range(7):
        view.add_item(discord.ui.Button(label=f"A longer label {number}", custom_id=f"b{number}"))
    root = await channel.send(
        f"<@{ada.user_id}> ready", embed=embed, view=view, files=[picture("a.png"), picture("b.png")]
    )
    await root.create_thread(name="Order 7: " + "a long name " * 6)
    layout = discord.ui.LayoutView(timeout=None)
    box: Any = discord.ui.Container(accent_colour=0x1C7A43)
    box.add_item(discord.ui.TextDisplay("## Done\nUse `<lora:rexo:0.85>`\n- one\n- two\n> said\n-# small"))
    box.add_item(discord.ui.MediaGallery(discord.MediaGalleryItem("attachment://c.png", description="alt")))
    button: Any = discord.ui.Button(label="Download", custom_id="dl")
    box.add_item(discord.ui.Section(discord.ui.TextDisplay("**Full file** 49 MB"), accessory=button))
    box.add_item(discord.ui.File("attachment://rexo.safetensors"))
    layout.add_item(box)
    lora = discord.File(io.BytesIO(b"x" * 5000), "rexo.safetensors")
    grid = await channel.send(view=layout, files=[picture("c.png"), lora])
    await grid.add_reaction("👍")


async def assert_tidy(tab: Page) -> None:
    assert await tab.run(TOO_WIDE) == []
    assert await tab.run(OVERLAPS) == []
    assert await tab.run(NAMELESS) == []


async def look_around(tab: Page, address: str, *, width: int, dark: bool) -> None:
    await tab.show(address, width=width, dark=dark)
    await tab.until(READY)
    for part in ("0", "log.scrollHeight / 2", "log.scrollHeight"):
        await tab.run(f"log.scrollTop = {part}")
        await assert_tidy(tab)
    await tab.run("commands.click()")
    await assert_tidy(tab)
    await tab.run("document.querySelector('dialog .list button').click()")
    await assert_tidy(tab)
    await tab.run("sheet.close(); document.querySelector('.tools').click()")
    await assert_tidy(tab)
    if width < 700:
        await tab.run("sheet.close(); menu.click()")
        await assert_tidy(tab)


async def test_nothing_overlaps_runs_out_or_lacks_a_name(
    stage: Stage, open_browser: Callable[[], AbstractAsyncContextManager[Page]]
) -> None:
    player = await stage.bot(prepare)
    await crowd(stage, player)
    address = f"{stage.server.url}/#as={stage.server.user_id('Ada')}&in={stage.lora}"
    async with open_browser() as tab:
        for width, dark in ((390, False), (390, True), (1280, False), (720, False)):
            await look_around(tab, address, width=width, dark=dark)
        assert tab.complaints == []


async def test_a_person_can_train_react_and_submit_a_modal(
    stage: Stage, open_browser: Callable[[], AbstractAsyncContextManager[Page]], tmp_path: Path
) -> None:
    player = await stage.bot(prepare)
    grid = await player.get_channel(stage.lora).send("grid")
    await grid.add_reaction("👍")
    chosen = [tmp_path / "one.png", tmp_path / "two.png"]
    for path in chosen:
        path.write_bytes(b"not yet a picture")
    ada = await stage.member("Ada")
    async with open_browser() as tab:
        await tab.show(f"{stage.server.url}/#as={ada.user_id}&in={stage.lora}", width=390)
        await tab.until("document.querySelector('[aria-pressed]')")
        await tab.run("document.querySelector('[aria-pressed]').click()")
        await tab.until("document.querySelector('[aria-pressed=true]')?.textContent === '👍 2'")
        assert (await player.hear("raw_reaction_add", 2))[1].user_id == ada.user_id

        await tab.run("commands.click(); document.querySelector('dialog .list button').click()")
        await tab.run("document.querySelector('dialog select').value = 'person'")
        await tab.run("document.querySelector('dialog form').requestSubmit()")
        await tab.until("document.getElementById('sheet-title')?.textContent === 'Pictures for a LoRA'")
        await assert_tidy(tab)
        await tab.choose("dialog input[type=file]", chosen)
        await tab.run("document.querySelector('dialog select').value = 'dog'")
        await tab.run("[...document.querySelectorAll('dialog input')].at(-1).value = 'rexo'")
        await tab.run("document.querySelector('dialog form').requestSubmit(document.querySelector('dialog .primary'))")
        await tab.until("log.textContent.includes(\"got ['one.png', 'two.png'] ['dog'] rexo\")")

        await tab.run("words.value = 'said by hand'")
        await tab.choose("#files", chosen[:1])
        await tab.run("composer.requestSubmit()")
        await tab.until("log.textContent.includes('said by hand')")
        assert tab.complaints == []
    said = await ada.wait_message(lambda m: m.content == "said by hand")
    assert [f.filename for f in said.files] == ["one.png"]


class Choices:
    """A command with pictures, a choice that the bot offers while it is typed, and one for moderators."""

    def __init__(self) -> None:
        self.ran: list[list[str]] = []

    def prepare(self, player: Player) -> None:
        """Register them."""

        @player.tree.command(description="Train a LoRA from pictures")
        async def train(
            interaction: discord.Interaction,
            image1: discord.Attachment | None = None,
            image2: discord.Attachment | None = None,
            image3: discord.Attachment | None = None,
        ) -> None:
            self.ran.append([image.filename for image in (image1, image2, image3) if image])
            await interaction.response.send_message("thank you", ephemeral=True)

        async def offer(_: discord.Interaction, typed: str) -> list[app_commands.Choice[str]]:
            return [app_commands.Choice(name=f"Rex, {typed or 'nothing'} typed", value="o7")]

        @player.tree.command(description="Cancel an order")
        @app_commands.autocomplete(order=offer)
        async def cancel(interaction: discord.Interaction, order: str) -> None:
            await interaction.response.send_message(f"cancelled {order}", ephemeral=True)

        @player.tree.command(description="Stop an order")
        @app_commands.default_permissions(manage_messages=True)
        async def stop(interaction: discord.Interaction) -> None:
            await interaction.response.send_message("stopped", ephemeral=True)


def some_files(folder: Path, *names: str) -> list[Path]:
    paths = [folder / name for name in names]
    for path in paths:
        path.write_bytes(b"not yet a picture")
    return paths


async def test_pictures_are_chosen_at_once_and_a_form_pressed_twice_is_sent_once(
    stage: Stage, open_browser: Callable[[], AbstractAsyncContextManager[Page]], tmp_path: Path
) -> None:
    choices = Choices()
    await stage.bot(choices.prepare)
    ada = await stage.member("Ada")
    async with open_browser() as tab:
        await tab.show(f"{stage.server.url}/#as={ada.user_id}&in={stage.lora}", width=390)
        await tab.until("document.querySelector('.empty')")
        await tab.run("words.value = '/train'; composer.requestSubmit()")
        await tab.choose("dialog input[type=file]", some_files(tmp_path, *"abcd"))
        await tab.run("document.querySelector('dialog form').requestSubmit()")
        assert not await tab.run("document.querySelector('dialog form').checkValidity()")  # four for three places
        await assert_tidy(tab)
        await tab.choose("dialog input[type=file]", some_files(tmp_path, "a.png", "b.png"))
        await tab.run("document.querySelector('dialog form').requestSubmit()")
        await tab.run("document.querySelector('dialog form').requestSubmit()")
        await tab.until("log.textContent.includes('thank you') && !sheet.open")
        assert choices.ran == [["a.png", "b.png"]]

        await tab.choose("#files", some_files(tmp_path, "c.png", "d.png"))
        await tab.run("picked.querySelector('button').click(); composer.requestSubmit()")
        await tab.until("log.textContent.includes('d.png')")
        assert not await tab.run("log.textContent.includes('c.png')")
        assert tab.complaints == []


async def test_commands_are_shown_to_those_who_may_run_them_with_what_the_bot_offers(
    stage: Stage, open_browser: Callable[[], AbstractAsyncContextManager[Page]]
) -> None:
    await stage.bot(Choices().prepare)
    ada, mira = await stage.member("Ada"), await stage.member("Mira")
    shown = "[...document.querySelectorAll('dialog .list strong')].map(s => s.textContent)"
    async with open_browser() as tab:
        for who, commands in ((ada, ["/train", "/cancel"]), (mira, ["/train", "/cancel", "/stop"])):
            await tab.show(f"{stage.server.url}/#as={who.user_id}&in={stage.lora}", width=1280)
            await tab.until("document.querySelector('.empty')")
            await tab.run("commands.click()")
            assert await tab.run(shown) == commands
        await tab.run("sheet.close()")
        await tab.run(
            f"who.value = '{ada.user_id}'; who.dispatchEvent(new Event('change'))"
        )  # heard as Ada from now on
        await tab.until(f"location.hash.includes('as={ada.user_id}')")
        await tab.run("commands.click()")
        await tab.run("[...document.querySelectorAll('dialog .list button')][1].click()")
        await tab.until("document.querySelector('dialog option')?.value === 'o7'")
        assert await tab.run("document.querySelector('dialog option').textContent") == "Rex, nothing typed"
        await tab.run("document.querySelector('dialog input').value = 'o7'")
        await tab.run("document.querySelector('dialog form').requestSubmit()")
        await tab.until("log.textContent.includes('cancelled o7')")


async def test_marks_are_read_as_on_discord_and_pictures_open_large(
    stage: Stage, open_browser: Callable[[], AbstractAsyncContextManager[Page]]
) -> None:
    channel = (await stage.bot()).get_channel(stage.lora)
    await channel.send("00\\.jpg \\@\u200beveryone **bold \\*x\\* on** \\_low\\_ <t:0:t> <t:0:f>")
    await channel.send(files=[picture("a.png"), discord.File(io.BytesIO(b"a text"), "notes.png")])
    address = f"{stage.server.url}/#as={stage.server.user_id('Ada')}&in={stage.lora}"
    async with open_browser() as tab:
        for width in (390, 1280):
            await tab.show(address, width=width)
            await tab.until("document.querySelector('.file a')?.textContent === '⬇ notes.png'")  # no picture, so a file
            await tab.run("document.querySelector('.gallery img').click()")
            await tab.until("viewer.open && viewer.querySelector('img').complete")
            assert await tab.run("viewer.querySelector('img').naturalWidth") == 1600
            assert await tab.run("document.documentElement.scrollWidth") == width
            assert await tab.run(NAMELESS) == []
            await tab.run("viewer.querySelector('button').click()")
            assert not await tab.run("viewer.open")
        text = await tab.run("document.querySelector('.message .text').textContent")
        assert text.startswith("00.jpg @\u200beveryone bold *x* on _low_ ")
        assert await tab.run("document.querySelector('.text strong').textContent") == "bold *x* on"
        assert text.count(":00") == 2  # to the minute, as Discord shows both


def test_the_page_loads_nothing_from_elsewhere_and_runs_only_its_own_script() -> None:
    text = page.document()
    assert text.count("<script") == text.count("<style") == 1
    assert "src=" not in text
    assert "innerHTML" not in text
    assert "'unsafe-inline'" not in page.policy()
