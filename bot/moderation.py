"""For moderators: stop or remove any order of their server, and the server's settings.

Permissions are checked here too, because Discord's own check of commands can be changed by a server.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import discord
from discord import app_commands
from sqlmodel import Session, select

from bot.answers import Declined, Interaction, acknowledge, say
from bot.cancelling import cancel_order
from bot.languages import Languages, choose_for_server, language_answer, language_choices
from bot.parts import Parts
from bot.plan_card import PlanCards, show_if_possible
from bot.removal import mark_removed, unsay_and_delete
from bot.wording import (
    MANAGERS_ONLY,
    MODERATORS_OF_THE_CHANNEL,
    MODERATORS_ONLY,
    cancelled,
    cancelled_before,
    removed,
)
from bot.wording_settings import channel_settings, consent_settings, mentions_set
from storage.domain.errors import OrderFault, OrderRefused
from storage.domain.phrases import phrase
from storage.drafts import locked_order
from storage.switches import insert_if_new
from storage.tables import Community, Member, Order

MAX_CONSENT = 400
"""Characters of a server's own consent line."""

_Reason = app_commands.Range[str, 1, 200]
_OrderId = app_commands.Range[str, 1, 20]


class Moderation:
    """Commands of moderators, and the one setting of a member."""

    def __init__(self, parts: Parts, cards: PlanCards, languages: Languages) -> None:
        self._parts = parts
        self._languages = languages
        self._cards = cards

    def groups(self) -> list[app_commands.Group | app_commands.Command[Any, Any, Any]]:
        """What is put into the command tree."""
        return [self._moderate(), self._settings(), self._mentions(), self._language()]

    def _moderate(self) -> app_commands.Group:
        group = app_commands.Group(
            name="moderate",
            description=phrase("Stop or remove orders (moderators)"),
            guild_only=True,
            default_permissions=discord.Permissions(manage_messages=True),
        )

        @group.command(name="stop", description=phrase("Stop an order"))
        @app_commands.describe(order=phrase("Its id, as /queue shows it"), reason=phrase("What its owner is told"))
        async def stop(interaction: Interaction, order: _OrderId, reason: _Reason) -> None:
            await acknowledge(interaction)
            await self._stop(interaction, order, reason)

        @group.command(name="remove", description=phrase("Stop an order and delete all its files and messages"))
        @app_commands.describe(order=phrase("Its id, as /queue shows it"), reason=phrase("What its owner is told"))
        async def remove(interaction: Interaction, order: _OrderId, reason: _Reason) -> None:
            await acknowledge(interaction)
            await self._remove(interaction, order, reason)

        return group

    def _settings(self) -> app_commands.Group:
        group = app_commands.Group(
            name="settings",
            description=phrase("How this server uses the bot (moderators)"),
            guild_only=True,
            default_permissions=discord.Permissions(manage_guild=True),
        )

        @group.command(
            name="allow", description=phrase("Take orders in this channel (the first one closes all others)")
        )
        @app_commands.describe(channel=phrase("Which channel"))
        async def allow(interaction: Interaction, channel: discord.TextChannel) -> None:
            await self._set_channels(interaction, lambda ids: [*ids, str(channel.id)])

        @group.command(
            name="disallow", description=phrase("Take no more orders in this channel (none left: everywhere)")
        )
        @app_commands.describe(channel=phrase("Which channel"))
        async def disallow(interaction: Interaction, channel: discord.TextChannel) -> None:
            await self._set_channels(interaction, lambda ids: [i for i in ids if i != str(channel.id)])

        @group.command(name="consent", description=phrase("What people must agree to before a person is trained"))
        @app_commands.describe(line=phrase("Your own sentence; without it the standard one"))
        async def consent(
            interaction: Interaction, line: app_commands.Range[str, 1, MAX_CONSENT] | None = None
        ) -> None:
            await acknowledge(interaction)
            require_manager(interaction)
            said = await self._parts.database.transact(_set_consent, str(interaction.guild_id), line or "")
            await say(interaction, consent_settings(said))

        @group.command(name="language", description=phrase("The language of what all in this server see"))
        @app_commands.describe(language=phrase("Which one; your members choose their own with /language"))
        @app_commands.choices(language=language_choices())
        async def language(interaction: Interaction, language: str) -> None:
            await acknowledge(interaction)
            require_manager(interaction)
            said = await self._parts.database.transact(choose_for_server, str(interaction.guild_id), language)
            await say(interaction, said)

        return group

    def _language(self) -> app_commands.Command[Any, Any, Any]:
        @app_commands.command(name="language", description=phrase("The language that I speak with you"))
        @app_commands.describe(language=phrase("Which one"))
        @app_commands.choices(language=language_choices())
        async def own_language(interaction: Interaction, language: str) -> None:
            await acknowledge(interaction)
            community, member = str(interaction.guild_id), str(interaction.user.id)
            await self._languages.choose(self._parts.database, community, member, language)
            await say(interaction, language_answer(interaction, language))

        return app_commands.guild_only(own_language)

    def _mentions(self) -> app_commands.Command[Any, Any, Any]:
        @app_commands.command(name="mentions", description=phrase("Whether I may mention you on your own orders"))
        @app_commands.describe(on=phrase("Yes or no"))
        async def mentions(interaction: Interaction, on: bool) -> None:  # noqa: FBT001  # an option of the command
            await acknowledge(interaction)
            await self._parts.database.transact(
                _set_mention, str(interaction.guild_id), str(interaction.user.id), on=on
            )
            await say(interaction, mentions_set(on=on))

        return app_commands.guild_only(mentions)

    async def _stop(self, interaction: Interaction, order_id: str, reason: str) -> None:
        await self._require_right_to(interaction, order_id)
        member = str(interaction.user.id)
        name, anew = await cancel_order(self._parts, order_id, member_id=member, reason=reason, by="moderator")
        await say(interaction, cancelled(name, by="moderator", reason=reason) if anew else cancelled_before(name))
        await show_if_possible(self._cards, order_id)

    async def _remove(self, interaction: Interaction, order_id: str, reason: str) -> None:
        await self._require_right_to(interaction, order_id)
        member = str(interaction.user.id)
        order = await self._parts.database.transact(mark_removed, order_id, f"moderator:{member}", reason)
        with suppress(OrderRefused):  # it had ended already
            await cancel_order(self._parts, order_id, member_id=member, reason=reason, by="moderator")
        left = await unsay_and_delete(self._parts, order_id)
        await say(interaction, removed(order.name, reason, left))

    async def _require_right_to(self, interaction: Interaction, order_id: str) -> None:
        """Raise `Declined` unless the member moderates the channel that the order was made in."""
        require_moderator(interaction)
        order = await self._parts.database.transact(_belongs, order_id, str(interaction.guild_id))
        if not moderates(interaction, int(order.channel_id)):
            raise Declined(MODERATORS_OF_THE_CHANNEL())

    async def _set_channels(self, interaction: Interaction, change: Callable[[list[str]], list[str]]) -> None:
        await acknowledge(interaction)
        require_manager(interaction)
        left = await self._parts.database.transact(_change_channels, str(interaction.guild_id), change)
        await say(interaction, channel_settings(left))


def require_moderator(interaction: Interaction) -> None:
    """Raise `Declined` unless the member may manage the server or its messages here."""
    granted = interaction.permissions
    if not (granted.manage_guild or granted.manage_messages):
        raise Declined(MODERATORS_ONLY())


def require_manager(interaction: Interaction) -> None:
    """Raise `Declined` unless the member may manage the server: settings hold for all of it."""
    if not interaction.permissions.manage_guild:
        raise Declined(MANAGERS_ONLY())


def moderates(interaction: Interaction, channel_id: int) -> bool:
    """Whether the member may manage the server, or the messages of this channel; unknown channels are for the former."""
    if interaction.permissions.manage_guild:
        return True
    place = interaction.guild.get_channel_or_thread(channel_id) if interaction.guild else None
    member = interaction.user
    return place is not None and isinstance(member, discord.Member) and place.permissions_for(member).manage_messages


def _belongs(session: Session, order_id: str, community_id: str) -> Order:
    order = locked_order(session, order_id)
    if order.community_id != community_id:
        raise OrderRefused(OrderFault.UNKNOWN)
    return order


def _community(session: Session, community_id: str) -> Community:
    insert_if_new(session, Community, **Community(id=community_id).model_dump())
    return session.exec(select(Community).where(Community.id == community_id).with_for_update()).one()


def _change_channels(session: Session, community_id: str, change: Callable[[list[str]], list[str]]) -> list[str]:
    community = _community(session, community_id)
    left = list(dict.fromkeys(change(json.loads(community.allowed_channels_json))))[:50]
    community.allowed_channels_json = json.dumps(left)
    return left


def _set_consent(session: Session, community_id: str, line: str) -> str:
    community = _community(session, community_id)
    community.consent_line = line[:MAX_CONSENT]
    return community.consent_line


def _set_mention(session: Session, community_id: str, member_id: str, *, on: bool) -> None:
    _community(session, community_id)
    insert_if_new(session, Member, **Member(community_id=community_id, id=member_id).model_dump())
    session.get_one(Member, (community_id, member_id)).mention = on
