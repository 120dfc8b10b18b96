"""What the bot's organs share: opened in `bot/__main__.py`, passed down, never global."""

from __future__ import annotations

from dataclasses import dataclass

import discord

from bot.settings import BotSettings
from storage.artifacts import Artifacts
from storage.database import Database
from storage.engine import Engine


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The opened things of one bot process."""

    settings: BotSettings
    database: Database
    engine: Engine
    artifacts: Artifacts
    discord: discord.Client
