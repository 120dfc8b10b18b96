"""Who reads which language: a member's own for what only they see, the server's for what all see.

Discord names a language with every interaction and for every server. It offers no Hebrew, and people may want another one here
than there: so a member can choose (`/language`), and a server too (`/settings language`).
https://docs.discord.com/developers/reference#locales
"""

from __future__ import annotations

from typing import Any

import discord
from discord import app_commands
from sqlmodel import Session, col, select

from bot.wording_settings import language_set, server_language_set
from storage.database import Database
from storage.domain.phrases import phrase
from storage.speech import LANGUAGES, language_name, language_of, speaking, translated
from storage.switches import insert_if_new
from storage.tables import Community, Member, Order


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


AS_DISCORD = "discord"
"""The choice to follow Discord."""


def language_choices() -> list[app_commands.Choice[str]]:
    """What a command offers; asked for when commands are made, because every catalogue is read for its name."""
    ours = [app_commands.Choice(name=_capital(language_name(language)), value=language) for language in LANGUAGES]
    return [app_commands.Choice(name=phrase("As Discord says"), value=AS_DISCORD), *ours]


class Languages:
    """The choices of members, in memory: an answer has to come before a database could be asked."""

    def __init__(self) -> None:
        self.chosen: dict[str, str] = {}
        """By member; who follows Discord may be missing."""

    def load(self, session: Session) -> None:
        """All choices that were written down."""
        rows = session.exec(select(Member.id, Member.language).where(Member.language != ""))
        self.chosen = dict(rows.all())

    def of(self, interaction: discord.Interaction[Any]) -> str:
        """What the member who did this reads; where we do not speak that, what is spoken in their server."""
        chosen = self.chosen.get(str(interaction.user.id), "")
        return language_of(chosen, str(interaction.locale), str(interaction.guild_locale or ""))

    async def choose(self, database: Database, community_id: str, member_id: str, language: str) -> None:
        """A member's choice, for every server; `AS_DISCORD` takes it back. It holds once it is written down."""
        chosen = "" if language == AS_DISCORD else language_of(language)
        await database.transact(_write_choice, community_id, member_id, chosen)
        self.chosen[member_id] = chosen


def _write_choice(session: Session, community_id: str, member_id: str, chosen: str) -> None:
    insert_if_new(session, Community, **Community(id=community_id).model_dump())
    insert_if_new(session, Member, **Member(community_id=community_id, id=member_id).model_dump())
    for row in session.exec(select(Member).where(Member.id == member_id)):
        row.language = chosen


def language_answer(interaction: discord.Interaction[Any], language: str) -> str:
    """What is said to a member who chose, in the language that they chose."""
    with speaking(str(interaction.locale) if language == AS_DISCORD else language):
        return language_set()


def choose_for_server(session: Session, community_id: str, language: str) -> str:
    """A server's choice; gives back what is said of it, in that language."""
    insert_if_new(session, Community, **Community(id=community_id).model_dump())
    community = session.get_one(Community, community_id)
    community.language = "" if language == AS_DISCORD else language_of(language)
    with speaking(public_language(community)):
        return server_language_set()


def note_locale(session: Session, community_id: str, locale: str) -> None:
    """What Discord says of a server that uses the bot; it may not have been used there yet."""
    insert_if_new(session, Community, **Community(id=community_id).model_dump())
    session.get_one(Community, community_id).locale = locale


def public_language(community: Community | None) -> str:
    """The language of what all in a server see."""
    return language_of((community.language or community.locale) if community else "")


def language_of_order(session: Session, order_id: str) -> str:
    """The public language of an order's server."""
    order = session.get(Order, order_id)
    return public_language(session.get(Community, order.community_id) if order else None)


def language_of_owner(session: Session, order_id: str) -> str:
    """What an order's owner reads, as far as it can be told without an interaction of theirs."""
    order = session.get(Order, order_id)
    chosen = select(Member.language).where(Member.id == (order.owner_id if order else ""), col(Member.language) != "")
    return session.exec(chosen).first() or language_of_order(session, order_id)


SHOWN_AS_WORDS = frozenset(
    {
        app_commands.TranslationContextLocation.command_description,
        app_commands.TranslationContextLocation.group_description,
        app_commands.TranslationContextLocation.parameter_description,
        app_commands.TranslationContextLocation.choice_name,
    }
)


class CommandWords(app_commands.Translator):
    """Descriptions, choices and the menu's entry in every language that Discord offers.

    Names of commands and options stay as they are: people tell each other to type `/train`, and so do our own sentences.
    """

    async def translate(
        self, string: app_commands.locale_str, locale: discord.Locale, context: app_commands.TranslationContextTypes
    ) -> str | None:
        """None where Discord should show the English words."""
        menu = isinstance(context.data, app_commands.ContextMenu)
        if not (menu or context.location in SHOWN_AS_WORDS):
            return None
        with speaking(locale.value):
            said = translated(string.message)
        return None if said == string.message else said
