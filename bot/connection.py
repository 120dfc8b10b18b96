"""Staying connected to Discord and staying the one bot: both end the process only where going on would be wrong."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from datetime import datetime

import aiohttp
import discord
from sqlmodel import Session

from bot.invitation import invite_link
from bot.traffic import watch
from storage import leases
from storage.database import Database
from storage.domain.errors import SecondBot, SetupError
from storage.settings import StorageSettings
from storage.system import lives
from storage.tables import Lease

log = logging.getLogger(__name__)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0


async def stay_connected(client: discord.Client, token: str) -> None:
    """Log in and hold the gateway until the client is closed.

    discord.py 2.7 reconnects by itself except when the very first connection fails: then `Client.connect` dies with an
    AttributeError, because there is no websocket yet to resume. Raises `SetupError` for a wrong token.
    """
    pause_s = FIRST_PAUSE_S
    watch(client)
    await _log_in(client, token)
    if client.application_id is not None:
        log.info("to invite the bot into a server, open %s", invite_link(client.application_id))
    while not client.is_closed():
        try:
            await client.connect(reconnect=True)
        except AttributeError:
            if client.ws is not None:
                raise
            log.warning("Discord's gateway cannot be reached; next try in %.0f s", pause_s)
        except discord.PrivilegedIntentsRequired:
            raise
        except discord.ConnectionClosed as error:
            raise SetupError(f"Discord closed the connection for good (code {error.code})") from error
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


async def _log_in(client: discord.Client, token: str) -> None:
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            await client.login(token)
        except discord.LoginFailure as error:
            raise SetupError("Discord does not know this token; see LORASMITH_TOKEN in .env") from error
        except (OSError, aiohttp.ClientError, discord.HTTPException) as error:
            log.warning("Discord cannot be reached (%s); next try in %.0f s", error, pause_s)
            await client.http.close()
            client.http.connector = discord.utils.MISSING  # closed with its session; a new one is made at the next try
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        else:
            return


async def become_the_bot(database: Database, settings: StorageSettings, holder: str) -> None:
    """Take the one-bot lease. Raises `SecondBot` as soon as the holder is seen to be alive.

    After a kill the old lease still stands for a while: it is taken over at once where its process is known to be gone (same
    host), else when it runs out.
    """
    first: datetime | None = None
    while True:
        try:
            await database.transact(leases.take_bot_lease, holder, settings.lease_s)
        except SecondBot:
            lease = await database.transact(_bot_lease)
            if lease is not None and _is_dead(lease):
                await database.transact(leases.drop, leases.BOT, lease.holder)
                continue
            first = first or (lease.expires_at if lease else None)
            if lease is not None and first is not None and lease.expires_at > first:
                raise
            await asyncio.sleep(settings.poll_s)
        else:
            return


def _bot_lease(session: Session) -> Lease | None:
    return session.get(Lease, leases.BOT)


def _is_dead(lease: Lease) -> bool:
    """Whether the holder was a process of this very host and is gone. A container has its own host name."""
    if lease.host != socket.gethostname() or lease.machine != leases.machine():
        return False
    parts = lease.holder.rsplit(":", 2)
    if len(parts) != 3 or not parts[1].isdigit():
        return False
    return not lives(int(parts[1]))


async def stay_the_bot(database: Database, settings: StorageSettings, holder: str) -> None:
    """Beat until cancelled. Raises `SecondBot` where another bot took over, so that this one stops."""
    loop = asyncio.get_running_loop()
    good_until = loop.time() + settings.lease_s
    while True:
        await asyncio.sleep(settings.beat_s)
        try:
            await database.transact(leases.take_bot_lease, holder, settings.lease_s)
            good_until = loop.time() + settings.lease_s
        except SecondBot:
            raise
        except Exception:
            log.exception("the bot's lease could not be renewed")
            if loop.time() > good_until:
                raise


async def give_up_lease(database: Database, holder: str) -> None:
    """Let the next bot start at once."""
    with contextlib.suppress(Exception):
        await database.transact(leases.drop, leases.BOT, holder)
