"""Answers to a member's command or press. They are best effort: the thread and the card are the record.

Acknowledging comes before anything that can take time. A second acknowledgement of the same interaction (Discord repeats
events after a broken connection) is refused by Discord and is no reason to stop.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import aiohttp
import discord

from bot.wording import NO_THREADS_HERE, TROUBLE, channels_allowed, clip, order_refused
from storage.domain.errors import OrderFault, OrderRefused

log = logging.getLogger(__name__)

Interaction = discord.Interaction[Any]
UNREACHABLE = (discord.DiscordException, aiohttp.ClientError, TimeoutError, OSError)
"""What a call to Discord can raise."""


class Declined(Exception):
    """What was asked is not done; the text says why and what to do."""


async def acknowledge(interaction: Interaction) -> None:
    """Say at once that an answer for this member alone will come."""
    if interaction.response.is_done():
        return
    try:
        await interaction.response.defer(ephemeral=True, thinking=True)
    except UNREACHABLE as error:
        log.info("interaction %s could not be acknowledged: %s", interaction.id, error)


async def say(interaction: Interaction, text: str, view: discord.ui.View | None = None) -> None:
    """Answer this member alone, whether or not the interaction was acknowledged before."""
    try:
        if interaction.response.is_done():
            await interaction.edit_original_response(content=clip(text), view=view)
        elif view is None:
            await interaction.response.send_message(clip(text), ephemeral=True)
        else:
            await interaction.response.send_message(clip(text), ephemeral=True, view=view)
    except UNREACHABLE as error:
        log.info("interaction %s could not be answered: %s", interaction.id, error)


async def say_trouble(interaction: Interaction, error: BaseException) -> None:
    """Answer in plain words when something went wrong: a refusal by its reason, anything else is noted in the log."""
    if isinstance(error, OrderRefused):
        where = error.fault is OrderFault.CHANNEL_NOT_ALLOWED and error.detail.split(",")
        await say(interaction, channels_allowed(where) if where else order_refused(error.fault, error.detail))
        return
    if isinstance(error, Declined):
        await say(interaction, str(error))
        return
    log.error("interaction %s went wrong", interaction.id, exc_info=error)
    await say(interaction, TROUBLE())


def missing_permissions(interaction: Interaction, needed: Iterable[str]) -> list[str]:
    """Which of these the bot does not have where the interaction happened. In a thread, sending there is what counts."""
    granted = interaction.app_permissions
    inside = isinstance(interaction.channel, discord.Thread)
    names = ("send_messages_in_threads" if inside and name == "send_messages" else name for name in needed)
    return [name for name in dict.fromkeys(names) if not getattr(granted, name)]


def refuse_without_threads(interaction: Interaction) -> None:
    """Raise `Declined` where no thread can be made, such as the text chat of a voice channel: an order lives in one."""
    if not isinstance(interaction.channel, discord.TextChannel | discord.Thread):
        raise Declined(NO_THREADS_HERE())


async def say_later(client: discord.Client, token: str, text: str, view: discord.ui.View | None = None) -> None:
    """Answer an interaction of an earlier run of the bot by its token; the first such answer ends its "thinking"."""
    if client.application_id is None:
        return
    hook = discord.Webhook.partial(client.application_id, token, client=client)
    hook.type = discord.WebhookType.application  # `partial` takes it for a channel's own, which can tell nobody alone
    try:
        await hook.send(clip(text), ephemeral=True, wait=True, view=view or discord.utils.MISSING)
    except UNREACHABLE as error:
        log.info("an earlier interaction could not be answered: %s", error)
