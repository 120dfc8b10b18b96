"""Where discord.py sends its requests: the only place that changes it.

discord.py 2.7 has no setting for this. A `Client` without shards never asks `/gateway/bot`; it dials
`DiscordWebSocket.DEFAULT_GATEWAY`, so both class attributes are set, before a client is made.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route

from bot.settings import BotSettings

CDN_HOSTS = frozenset({"cdn.discordapp.com", "media.discordapp.net"})
"""Where Discord keeps what members attach."""


def aim(settings: BotSettings) -> None:
    """Point discord.py at the loopback server where the settings name one; for Discord itself nothing is touched."""
    if not settings.loopback:
        return
    address = urlsplit(settings.discord_url)
    Route.BASE = f"{settings.discord_url}/api/v10"
    DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(f"ws://{address.netloc}/gateway")


def attachment_origin_allowed(url: str, settings: BotSettings) -> bool:
    """Whether a link leads to where attachments live: Discord's hosts over https, or exactly the loopback's own origin."""
    parts = urlsplit(url)
    if parts.username or parts.password:
        return False
    if settings.loopback:
        return f"{parts.scheme}://{parts.netloc}" == settings.discord_url
    return parts.scheme == "https" and parts.hostname in CDN_HOSTS and parts.port in (None, 443)
