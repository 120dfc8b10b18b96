"""The commands as Discord shows them. Thin: each hands over to the organ that does the work."""

from __future__ import annotations

from typing import Any

import discord
from discord import app_commands

from bot.answers import Interaction, acknowledge, say
from bot.cancelling import cancel_order
from bot.drafting import Wish
from bot.intake import Intake
from bot.modals import links_of, submission, train_modal
from bot.moderation import Moderation
from bot.parts import Parts
from bot.plan_card import PlanCards, show_if_possible
from bot.presses import Presses
from bot.queries import Queries
from bot.wording import NOTHING_TO_CANCEL, cancelled, cancelled_before
from bot.wording_plan import SUBJECT_WORDS
from storage.domain.orders import SubjectType, clean_word
from storage.domain.phrases import phrase

SUBJECTS = [app_commands.Choice(name=words.english, value=kind.value) for kind, words in SUBJECT_WORDS.items()]
DEFAULT_UPLOAD_BYTES = 10 * 1024 * 1024
"""Discord's limit for a server without boosts, where the server is not in the cache."""


class Commands:
    """Registers everything that a member can type or choose."""

    def __init__(
        self, parts: Parts, intake: Intake, cards: PlanCards, queries: Queries, moderation: Moderation
    ) -> None:
        self._parts = parts
        self._intake = intake
        self._cards = cards
        self._queries = queries
        self._moderation = moderation

    def register(self, tree: app_commands.CommandTree[Any], presses: Presses) -> None:
        """Put the commands into the tree and the modal's submit into the table of presses."""
        tree.add_command(self._train())
        tree.add_command(self._context_menu())
        tree.add_command(self._plain("queue", phrase("What trains now, and who is next"), self._queries.queue))
        tree.add_command(self._plain("status", phrase("Your own orders in this server"), self._queries.status))
        tree.add_command(self._cancel())
        for group in self._moderation.groups():
            tree.add_command(group)
        presses.on_modal("train", self._submitted)

    def _train(self) -> app_commands.Command[Any, Any, Any]:
        @app_commands.command(
            name="train", description=phrase("Make a LoRA from your pictures; without attachments a form opens")
        )
        @app_commands.describe(
            subject=phrase("What the pictures show"),
            name=phrase("What to call it"),
            class_word=phrase("One plain word for what it is, such as dog, teapot or watercolour"),
            **{
                f"image{n}": phrase("A picture: JPEG, PNG, WebP or HEIC; 8 to 20 in all work best")
                for n in range(1, 11)
            },
        )
        @app_commands.choices(subject=SUBJECTS)
        async def train(  # noqa: PLR0917  # one parameter an attachment: this is how discord.py declares options
            interaction: Interaction,
            subject: str | None = None,
            image1: discord.Attachment | None = None,
            image2: discord.Attachment | None = None,
            image3: discord.Attachment | None = None,
            image4: discord.Attachment | None = None,
            image5: discord.Attachment | None = None,
            image6: discord.Attachment | None = None,
            image7: discord.Attachment | None = None,
            image8: discord.Attachment | None = None,
            image9: discord.Attachment | None = None,
            image10: discord.Attachment | None = None,
            name: app_commands.Range[str, 1, 40] | None = None,
            class_word: app_commands.Range[str, 1, 30] | None = None,
        ) -> None:
            images = (image1, image2, image3, image4, image5, image6, image7, image8, image9, image10)
            kind = SubjectType(subject) if subject else None
            words = clean_word(name or ""), clean_word(class_word or "", 30).lower()
            if any(images):
                await self._intake.begin(interaction, wish_of(interaction, kind, *words), links_of(images))
            else:
                await interaction.response.send_modal(train_modal(kind, *words))

        return _here_only(train)

    def _context_menu(self) -> app_commands.ContextMenu:
        async def from_message(interaction: Interaction, message: discord.Message) -> None:
            await self._intake.begin(interaction, wish_of(interaction, None, "", ""), links_of(message.attachments))

        menu = app_commands.ContextMenu(name=phrase("Train from these pictures"), callback=from_message)
        return app_commands.guild_only(menu)

    async def _submitted(self, interaction: Interaction, arguments: tuple[str, ...]) -> None:
        """The form of `/train` came back, perhaps to a bot that was restarted meanwhile."""
        name, class_word = arguments
        sent = submission(dict(interaction.data or {}))
        wish = wish_of(interaction, sent.subject or SubjectType.OBJECT, clean_word(name), clean_word(class_word))
        await self._intake.begin(interaction, wish, sent.links)

    def _cancel(self) -> app_commands.Command[Any, Any, Any]:
        @app_commands.command(name="cancel", description=phrase("Cancel one of your orders"))
        @app_commands.describe(order=phrase("Which one; without it the newest that people do not vote on yet"))
        @app_commands.autocomplete(order=self._queries.cancellable)
        async def cancel(interaction: Interaction, order: app_commands.Range[str, 1, 20] | None = None) -> None:
            await acknowledge(interaction)
            member = str(interaction.user.id)
            order_id = order or await self._queries.newest_waiting(str(interaction.guild_id), member)
            if order_id is None:
                return await say(interaction, NOTHING_TO_CANCEL())
            name, anew = await cancel_order(self._parts, order_id, member_id=member)
            await say(interaction, cancelled(name, by="owner") if anew else cancelled_before(name))
            await show_if_possible(self._cards, order_id)
            return None

        return _here_only(cancel)

    @staticmethod
    def _plain(name: str, description: str, callback: Any) -> app_commands.Command[Any, Any, Any]:  # noqa: ANN401  # discord.py's type
        async def run(interaction: Interaction) -> None:
            await callback(interaction)

        return _here_only(app_commands.Command(name=name, description=description, callback=run))


def _here_only(command: app_commands.Command[Any, Any, Any]) -> app_commands.Command[Any, Any, Any]:
    return app_commands.guild_only(command)


def wish_of(interaction: Interaction, subject: SubjectType | None, name: str, class_word: str) -> Wish:
    """What was asked for, and where, from the interaction alone."""
    guild, channel = interaction.guild, interaction.channel
    return Wish(
        interaction_id=str(interaction.id),
        token=interaction.token,
        community_id=str(interaction.guild_id),
        community_name=guild.name if guild else "",
        community_locale=str(interaction.guild_locale or ""),
        owner_id=str(interaction.user.id),
        channel_id=str(interaction.channel_id),
        parent_id=str(channel.parent_id) if isinstance(channel, discord.Thread) else None,
        subject=subject,
        name=name,
        class_word=class_word,
        max_file_bytes=guild.filesize_limit if guild else DEFAULT_UPLOAD_BYTES,
    )
