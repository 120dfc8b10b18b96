"""Commands are made known to each server by itself: that takes effect at once, and only where something changed.

Discord allows 200 command creations a server and day, so the last registered form is remembered by its hash.
"""

from __future__ import annotations

import hashlib
import json
import logging
from typing import Any

import discord
from discord import app_commands
from sqlmodel import Session

from storage.database import Database
from storage.switches import locked
from storage.tables import Switch

log = logging.getLogger(__name__)


async def form_of(tree: app_commands.CommandTree[Any]) -> str:
    """A hash of everything that Discord is told about the commands, in every language."""
    commands = [
        *tree.get_commands(type=discord.AppCommandType.chat_input),
        *tree.get_commands(type=discord.AppCommandType.message),
    ]
    translator = tree.translator
    forms = [await c.get_translated_payload(tree, translator) if translator else c.to_dict(tree) for c in commands]
    told = sorted(json.dumps(form, sort_keys=True, default=str) for form in forms)
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


async def register(
    tree: app_commands.CommandTree[Any], guild: discord.Guild, database: Database, *, anew: bool = False
) -> bool:
    """Register the commands in one server if they changed, or in any case with `anew`; says whether they were sent."""
    tree.copy_global_to(guild=guild)
    name, form = _name(tree.client.application_id, guild.id), await form_of(tree)
    if not anew and await database.transact(_registered, name) == form:
        return False
    try:
        await tree.sync(guild=guild)
    except discord.Forbidden:
        log.warning("server %d did not allow commands: invite the bot with the scope applications.commands", guild.id)
        return False
    await database.transact(_remember, name, form)
    log.info("commands registered in server %d", guild.id)
    return True


def is_known(session: Session, client: discord.Client, guild_id: int) -> bool:
    """Whether this bot ever registered its commands in the server: one that it served before it stays in, and refuses there."""
    return _registered(session, _name(client.application_id, guild_id)) is not None


def _name(application_id: int | None, guild_id: int) -> str:
    return f"commands:{application_id}:{guild_id}"


def _registered(session: Session, name: str) -> str | None:
    row = session.get(Switch, name)
    return row.value if row else None


def _remember(session: Session, name: str, form: str) -> None:
    locked(session, name, "").value = form
