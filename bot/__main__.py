"""The bot process: settings are read, things are opened, organs are wired, and everything is closed again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass

import discord
from pydantic import ValidationError

from bot.absence import Absence
from bot.captioning import Captioning
from bot.client import LorasmithClient
from bot.commands import Commands
from bot.connection import become_the_bot, give_up_lease, stay_connected, stay_the_bot
from bot.doctoring import Doctoring
from bot.download import Downloads, downloads
from bot.endpoints import aim
from bot.full_run import FullRun
from bot.housekeeping import Housekeeping
from bot.intake import Intake
from bot.moderation import Moderation
from bot.order import Story
from bot.parts import Parts
from bot.plan_card import PlanCards
from bot.queries import Queries
from bot.settings import BotSettings
from bot.starting import Starting
from storage import leases, logs
from storage.artifacts import Artifacts
from storage.database import Database, migrate, require_current
from storage.domain.errors import SetupError
from storage.engine import Engine
from storage.hub import token_of_environment
from storage.options import Options
from storage.settings import wrong_settings
from storage.system import on_signals

log = logging.getLogger(__name__)

SAYS = (
    "Run the Discord bot alone: it takes orders, posts checkpoints, counts votes and hands over files. Workers train; start "
    "them with `lorasmith worker`. Ctrl-C or SIGTERM ends it in good order."
)
EXECUTOR = "bot"
"""Fixed, so that workflows cut off by a kill are taken up by the next start; the lease keeps it unique."""


async def run(settings: BotSettings) -> None:
    """Be the bot until cancelled."""
    aim(settings)
    await asyncio.to_thread(migrate, settings)
    async with AsyncExitStack() as stack:
        database = Database(settings)
        stack.callback(database.close)
        await asyncio.to_thread(require_current, database)
        holder = leases.holder_name("bot")
        await become_the_bot(database, settings, holder)
        stack.push_async_callback(give_up_lease, database, holder)
        await database.transact(leases.refuse_mixed, settings)
        client = LorasmithClient(settings)
        engine = Engine(settings, database, EXECUTOR, queues=("control",))
        parts = Parts(
            settings=settings, database=database, engine=engine, artifacts=Artifacts(settings), discord=client
        )
        stack.push_async_callback(engine.close)
        stack.push_async_callback(_close, client)
        await _live(parts, client, holder, stack)


@dataclass(frozen=True, kw_only=True)
class Organs:
    """What goes on by itself beside the connection."""

    story: Story
    intake: Intake
    housekeeping: Housekeeping


def wire(parts: Parts, client: LorasmithClient, fetches: Downloads) -> Organs:
    """Make the organs and tell the client which of them gets what."""
    story, absence, cards = Story(parts), Absence(parts), PlanCards(parts)
    intake = Intake(parts, cards, fetches)
    moderation = Moderation(parts, cards, client.languages)
    Commands(parts, intake, cards, Queries(parts), moderation).register(client.tree, client.presses)
    Starting(parts, cards, intake).register(client.presses)
    Doctoring(parts, cards).register(client.presses)
    FullRun(parts, cards).register(client.presses)
    Captioning(parts, cards, fetches).register(client.presses)
    story.register(client.presses)
    client.attach(parts, story, absence)
    parts.engine.handle_stage(story.on_stage)
    return Organs(story=story, intake=intake, housekeeping=Housekeeping(parts, cards, absence, intake))


async def _live(parts: Parts, client: LorasmithClient, holder: str, stack: AsyncExitStack) -> None:
    """Let the organs run side by side; the first that ends with an error ends all."""
    organs = wire(parts, client, await stack.enter_async_context(downloads(parts.settings)))
    stack.push_async_callback(organs.intake.close)
    await parts.engine.launch()
    await parts.database.transact(client.languages.load)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(stay_the_bot(parts.database, parts.settings, holder))
        tasks.create_task(stay_connected(client, parts.settings.token.get_secret_value()))
        await client.logged_in.wait()
        await organs.intake.resume()
        tasks.create_task(organs.story.run())
        tasks.create_task(organs.housekeeping.run())


async def _close(client: LorasmithClient) -> None:
    with contextlib.suppress(Exception):
        await client.close()


async def _until_told(settings: BotSettings) -> None:
    bot = asyncio.create_task(run(settings))

    def told() -> None:
        log.info("stopping: what was asked for is kept, open votes too; the next start goes on where this one was")
        bot.cancel()

    on_signals((signal.SIGINT, signal.SIGTERM), told)
    with contextlib.suppress(asyncio.CancelledError):
        await bot


def main() -> int:
    """Start; exit code 2 where the set-up is wrong, said in one line."""
    Options("bot", SAYS, settings=BotSettings).parse_args()
    try:
        settings = BotSettings()
    except ValidationError as error:
        sys.stderr.write("\n".join((*wrong_settings(error), "")))
        return 2
    logs.begin(settings.log_format, "bot", [settings.token.get_secret_value(), token_of_environment() or ""])
    discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False  # the bot has no voice
    try:
        asyncio.run(_until_told(settings))
    except (SetupError, ExceptionGroup) as error:
        if (wrong := setup_error(error)) is None:
            raise
        sys.stderr.write(f"{wrong}\n")
        return 2
    return 0


def setup_error(error: BaseException) -> SetupError | None:
    """The wrong set-up among what ended the bot, however deep in its groups."""
    if isinstance(error, SetupError):
        return error
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    return next((found for e in inner if (found := setup_error(e)) is not None), None)


if __name__ == "__main__":
    sys.exit(main())
