"""THE STORY of one order after Start, stage by stage, from top to bottom.

    queued       worker   the fair queue gives it a first turn
    training     worker   checkpoints come; the announcer posts each grid once, members react
    voting       bot      the ballot opens; the clock closes it at its instant, or when the owner presses Finish
    scaling      worker   the chosen file is measured at several scales
    delivering   bot      the delivery is written down; the announcer posts its card, and with that the order is delivered
    delivered             the card stays, its buttons work
    cancelled             it is said and the files go
    failed       owner    it is said whose fault it was, with Retry

A handler reads the row and acts so that doing it twice is doing it once. It writes first; what Discord shows is brought up
to what storage says by the announcer, so that neither a kill nor an hour without Discord loses or doubles anything.

`__main__.py` makes one `Story` and hands it stage workflows (`on_stage`), presses (`register`) and a task for `run`;
`client.py` hands it raw reaction events (`on_reaction`), deleted threads and new gateway sessions (`on_new_session`).
"""

from __future__ import annotations

import asyncio
import logging

import discord

from bot import ballots, clock, delivery, sharing, taking
from bot.announcer import Announcer
from bot.parts import Parts
from bot.presses import Presses
from bot.recount import Recounts
from bot.web import serve
from storage.domain.lifecycle import Stage

log = logging.getLogger(__name__)

ReactionEvent = discord.RawReactionActionEvent | discord.RawReactionClearEvent | discord.RawReactionClearEmojiEvent


class Story:
    """The part of the bot that carries orders from Start to delivery."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.recounts = Recounts(parts)
        self.announcer = Announcer(parts)

    async def on_stage(self, order_id: str, stage: str, attempt: int) -> None:
        """A stage workflow: the order entered a stage that the bot moves it out of."""
        log.info("order %s enters %s (attempt %d)", order_id, stage, attempt)
        match Stage(stage):
            case Stage.VOTING:
                await self.parts.database.transact(ballots.open_ballot, order_id, self.parts.settings.ballot_seconds)
            case Stage.DELIVERING:
                await delivery.prepare(self.parts, order_id)
            case Stage.CANCELLED | Stage.FAILED:
                pass  # nothing is left to move; the announcer says so
            case other:
                log.warning("no part of the bot moves an order out of %s", other.value)
        self.announcer.wake()

    def register(self, presses: Presses) -> None:
        """The buttons under grids, sheet and card."""
        presses.on_button("take", lambda i, a: taking.take(self.parts, i, a))
        presses.on_button("download", lambda i, a: taking.download(self.parts, i, a))
        presses.on_button("finish", lambda i, a: ballots.finish(self.parts, i, a))

    def on_reaction(self, event: ReactionEvent) -> None:
        """A reaction came or went: look at that message again. Whose it was matters only where it was our own seed."""
        me = self.parts.discord.user
        if isinstance(event, discord.RawReactionActionEvent) and me is not None and event.user_id == me.id:
            return
        self.recounts.look_again(str(event.message_id))

    async def on_thread_deleted(self, thread_id: int) -> None:
        """A thread is gone: an order that goes on gets another one, so that people can go on voting."""
        await self.announcer.thread_deleted(thread_id)

    def on_new_session(self) -> None:
        """The gateway began anew instead of replaying what was missed: reactions may have come and gone unheard."""
        self.recounts.look_again_everywhere()

    async def run(self) -> None:
        """Everything that goes on by itself, until cancelled. Ballots are counted anew first: votes came while nobody looked."""
        self.recounts.look_again_everywhere()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.announcer.run())
            tasks.create_task(self.recounts.run())
            tasks.create_task(clock.run(self.parts, self.recounts))
            tasks.create_task(serve(self.parts))
            tasks.create_task(sharing.run(self.parts))
