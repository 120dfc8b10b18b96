"""The connection to Discord: events in, and to whom each of them goes. No event handler does work of its own."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Any

import discord
from discord import app_commands

from bot.absence import Absence
from bot.answers import UNREACHABLE, Interaction, say, say_trouble
from bot.languages import CommandWords, Languages, note_locale
from bot.order import Story
from bot.parts import Parts
from bot.presses import Presses
from bot.registration import is_known, register
from bot.settings import BotSettings
from bot.wording import OLD_BUTTON, SERVERS_ONLY, goodbye, order_refused
from storage.domain.errors import OrderFault
from storage.speech import speak, speaking

log = logging.getLogger(__name__)

LONGEST_WAIT_S = 60.0
"""discord.py waits out a rate limit up to this; longer ones are raised, and whoever called tries again later."""
COMPONENT, MODAL = discord.InteractionType.component, discord.InteractionType.modal_submit


class LorasmithClient(discord.Client):
    """The bot's client. No privileged intent, no message cache, and nobody is mentioned unless asked for."""

    def __init__(self, settings: BotSettings) -> None:
        intents = discord.Intents.none()
        intents.guilds = True
        intents.guild_reactions = True
        super().__init__(
            intents=intents,
            max_messages=None,
            chunk_guilds_at_startup=False,
            member_cache_flags=discord.MemberCacheFlags.none(),
            allowed_mentions=discord.AllowedMentions.none(),
            max_ratelimit_timeout=LONGEST_WAIT_S,
            guild_ready_timeout=0.5,  # servers come within milliseconds of each other; commands are registered after it
        )
        self.settings = settings
        self.tree: app_commands.CommandTree[Any] = Tree(self)
        self.presses = Presses()
        self.languages = Languages()
        self.logged_in = asyncio.Event()
        self._parts: Parts | None = None
        self._story: Story | None = None
        self._absence: Absence | None = None

    def attach(self, parts: Parts, story: Story, absence: Absence) -> None:
        """The organs that events go to; before the connection is made."""
        self._parts, self._story, self._absence = parts, story, absence

    async def setup_hook(self) -> None:
        """The token was taken: calls to Discord work from now on."""
        await self.tree.set_translator(CommandWords())
        self.logged_in.set()

    async def on_connect(self) -> None:
        """A new session of the gateway, the first one or one after events were lost; a resumed one replays them instead.

        discord.py says `connect` with each READY; its `ready` comes half a second later, when this client may be closed.
        """
        if self._story is not None:
            self._story.on_new_session()

    async def on_guild_available(self, guild: discord.Guild) -> None:
        """A server that the bot is in has come into view."""
        if self.settings.serves(guild.id):
            await self._welcome(guild, anew=False)
        elif self._parts is not None and not await self._parts.database.transact(is_known, self, guild.id):
            await self._leave(guild)  # it invited the bot while it was not running

    async def on_guild_join(self, guild: discord.Guild) -> None:
        """The bot was invited: stay where the operator allows it."""
        if not self.settings.serves(guild.id):
            await self._leave(guild)
            return
        await self._welcome(guild, anew=True)

    async def on_guild_update(self, before: discord.Guild, after: discord.Guild) -> None:
        """A server changed; its language is what matters here."""
        if self._parts is not None and before.preferred_locale != after.preferred_locale:
            await self._parts.database.transact(note_locale, str(after.id), str(after.preferred_locale))

    async def on_guild_remove(self, guild: discord.Guild) -> None:
        """The bot was removed from a server."""
        if self._absence is not None:
            await self._absence.server_left(guild.id)

    async def _welcome(self, guild: discord.Guild, *, anew: bool) -> None:
        if self._parts is None or self._absence is None:
            return
        await self._absence.server_back(guild.id)
        await self._parts.database.transact(note_locale, str(guild.id), str(guild.preferred_locale))
        try:
            await register(self.tree, guild, self._parts.database, anew=anew)
        except UNREACHABLE:
            log.exception("commands were not registered in server %d; the next start tries again", guild.id)

    async def _leave(self, guild: discord.Guild) -> None:
        log.warning("server %d is not on the list of allowed servers: leaving", guild.id)
        try:
            if guild.system_channel is not None:
                with speaking(str(guild.preferred_locale)):
                    await guild.system_channel.send(goodbye(guild.name))
        except UNREACHABLE as error:
            log.info("no goodbye in server %d: %s", guild.id, error)
        await guild.leave()

    async def on_interaction(self, interaction: Interaction) -> None:
        """Presses and submits; commands go through the tree. Whatever happens, the member reads an answer."""
        if interaction.type not in (COMPONENT, MODAL):
            return
        speak(self.languages.of(interaction))
        try:
            if not await refuse_politely(interaction, self.settings):
                found = self.presses.find(interaction)
                if found is None:
                    await say(interaction, OLD_BUTTON())
                else:
                    handler, arguments = found
                    await handler(interaction, arguments)
        except Exception as error:  # noqa: BLE001  # the last one to catch it
            await say_trouble(interaction, error)

    async def on_raw_thread_delete(self, event: discord.RawThreadDeleteEvent) -> None:
        """A thread was deleted."""
        if self._story is not None:
            await self._story.on_thread_deleted(event.thread_id)

    async def on_raw_reaction_add(self, event: discord.RawReactionActionEvent) -> None:
        """Somebody reacted."""
        self._look_again(event)

    async def on_raw_reaction_remove(self, event: discord.RawReactionActionEvent) -> None:
        """Somebody took a reaction back."""
        self._look_again(event)

    async def on_raw_reaction_clear(self, event: discord.RawReactionClearEvent) -> None:
        """All reactions of a message are gone."""
        self._look_again(event)

    async def on_raw_reaction_clear_emoji(self, event: discord.RawReactionClearEmojiEvent) -> None:
        """All reactions of one emoji are gone."""
        self._look_again(event)

    def _look_again(
        self,
        event: discord.RawReactionActionEvent | discord.RawReactionClearEvent | discord.RawReactionClearEmojiEvent,
    ) -> None:
        if self._story is not None and event.guild_id is not None:
            self._story.on_reaction(event)

    async def on_error(self, event_method: str, /, *_args: Any, **_kwargs: Any) -> None:  # noqa: ANN401  # discord.py's signature
        """An event handler failed: it is noted, the connection goes on."""
        log.error("the event %s was not handled", event_method, exc_info=sys.exc_info())


class Tree(app_commands.CommandTree[Any]):
    """Commands, with the same last answers as presses have."""

    async def interaction_check(self, interaction: Interaction, /) -> bool:
        """Whether this server may use the bot."""
        client = interaction.client
        if isinstance(client, LorasmithClient):
            speak(client.languages.of(interaction))  # the task is this interaction's own
        return not (isinstance(client, LorasmithClient) and await refuse_politely(interaction, client.settings))

    async def on_error(self, interaction: Interaction, error: app_commands.AppCommandError, /) -> None:
        """Nothing ends without a word."""
        if isinstance(error, app_commands.CommandNotFound | app_commands.CommandSignatureMismatch):
            log.warning("a command that is no longer known was used: %s", error)
            await say(interaction, OLD_BUTTON())
            return
        await say_trouble(interaction, error.__cause__ or error)


async def refuse_politely(interaction: Interaction, settings: BotSettings) -> bool:
    """Answer where the bot does not work; says whether it did."""
    if interaction.guild_id is None:
        await say(interaction, SERVERS_ONLY())
        return True
    if settings.serves(interaction.guild_id):
        return False
    await say(interaction, order_refused(OrderFault.SERVER_NOT_ALLOWED))
    return True
