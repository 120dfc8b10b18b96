"""The loop that brings Discord up to what storage says: posts what is missing, once, and edits seldom.

It looks about once a second and acts on differences only. Each order is shown by itself: one that waits for a rate limit or
whose channel is gone does not hold up the others. An order that is handed over waits for its card only so long: where that
cannot be posted, or failed too often, the order is delivered all the same, and the card follows if it can.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from functools import partial

import aiohttp
import discord

from bot.parts import Parts
from bot.posting import Unreachable, unreachable
from bot.shown import Shown, look
from bot.threads import Threads, delivered
from storage.domain.lifecycle import Stage
from storage.logs import about

log = logging.getLogger(__name__)

AT_ONCE = 4
"""Orders that are brought up to date at a time."""
LONGEST_WAIT_S = 60.0
"""The longest wait after an error that passes: Discord is down, a connection broke, a rate limit."""
BLOCKED_WAIT_S, LONGEST_BLOCKED_S = 60.0, 3600.0
"""Waits where posting is not allowed or the place is gone: such answers count against the bot."""
GIVE_UP = 6
"""After so many failures in a row an order that is handed over goes on without its card: about a minute."""


class Announcer:
    """Shows orders. `wake` makes it look at once."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.threads = Threads(parts)
        self.blocked: set[str] = set()
        """Orders whose place cannot be posted to at present."""
        self._shown: dict[str, tuple[str, float]] = {}
        """What an order was like when it was last shown whole, and when: only changes, and time, bring it up again."""
        self._tries: dict[str, int] = {}
        self._not_before: dict[str, float] = {}
        self._working: dict[str, asyncio.Task[None]] = {}
        self._few = asyncio.Semaphore(AT_ONCE)
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Look now: something was just written."""
        self._woken.set()

    async def thread_deleted(self, thread_id: int) -> None:
        """Somebody deleted a thread."""
        if await self.threads.posting.thread_deleted(str(thread_id)):
            self.wake()

    async def run(self) -> None:
        """Look, show, wait; until cancelled."""
        try:
            while True:
                try:
                    await self._look()
                except Exception:
                    log.exception("looking at the orders failed; it is tried again")
                await self._pause()
        finally:
            for task in self._working.values():
                task.cancel()
            await asyncio.gather(*self._working.values(), return_exceptions=True)

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), self.parts.settings.look_s)
        self._woken.clear()

    async def _look(self) -> None:
        if not self.parts.discord.is_ready():
            return
        at = asyncio.get_running_loop().time()
        seen = await self.parts.database.transact(look)
        self._forget_all_but({it.order.id for it in seen})
        for it in seen:
            order_id = it.order.id
            if it.stage is Stage.DELIVERING and (order_id in self.blocked or self._failures(order_id) >= GIVE_UP):
                await self.parts.database.transact(delivered, self.parts, order_id, posted=False)
            if self._shown.get(order_id, ("", 0.0)) == (it.print_of(), at // max(self.parts.settings.status_s, 0.1)):
                continue
            if order_id in self._working or self._not_before.get(order_id, 0.0) > at or not self._can_be_shown(it):
                continue
            with about(order_id):  # the task's log lines too: it keeps the context that it was made in
                task = asyncio.create_task(self._try_to_show(it))
            self._working[order_id] = task
            task.add_done_callback(partial(self._done, order_id))

    def _failures(self, order_id: str) -> int:
        return max(self._tries.get(order_id, 0), self.threads.tries(order_id, "card"))

    def _forget_all_but(self, order_ids: set[str]) -> None:
        self.blocked &= order_ids
        for memory in (self._shown, self._tries, self._not_before):
            for gone in memory.keys() - order_ids:
                del memory[gone]

    def _done(self, order_id: str, _: asyncio.Task[None]) -> None:
        self._working.pop(order_id, None)

    def _can_be_shown(self, it: Shown) -> bool:
        """Whether there is a server to show it in. Without one an order is handed over by moving on."""
        if it.removed or not it.order.community_id.isdigit():
            self.blocked.add(it.order.id)
            return False
        return self.parts.discord.get_guild(int(it.order.community_id)) is not None

    async def _try_to_show(self, it: Shown) -> None:
        """One order, with its troubles: what passes is waited for, what is forbidden is left alone for a good while."""
        order_id = it.order.id
        try:
            async with self._few:
                before, at = it.print_of(), asyncio.get_running_loop().time()
                await self.threads.show(it)
                if it.print_of() == before:
                    self._shown[order_id] = (before, at // max(self.parts.settings.status_s, 0.1))
        except discord.RateLimited as error:
            self._wait(order_id, error.retry_after, 1.0)
        except discord.HTTPException as error:
            self._after_refusal(it, error)
        except Unreachable as error:
            self._leave_alone(it, error)
        except (discord.DiscordException, aiohttp.ClientError, OSError, TimeoutError) as error:
            log.warning("order %s is not shown yet: %s: %s", order_id, type(error).__name__, error)
            self._wait(order_id, self.parts.settings.look_s, LONGEST_WAIT_S)
        except Exception:
            log.exception("order %s cannot be shown", order_id)
            self._wait(order_id, self.parts.settings.look_s, LONGEST_WAIT_S)
        else:
            self._tries.pop(order_id, None)
            self.blocked.discard(order_id)

    def _after_refusal(self, it: Shown, error: discord.HTTPException) -> None:
        if unreachable(error):
            self._leave_alone(it, error)
        else:
            log.warning("order %s is not shown yet: %s", it.order.id, error)
            self._wait(it.order.id, self.parts.settings.look_s, LONGEST_WAIT_S)

    def _leave_alone(self, it: Shown, error: Exception) -> None:
        log.warning("order %s cannot be shown in its place: %s", it.order.id, error)
        self.blocked.add(it.order.id)
        self._wait(it.order.id, BLOCKED_WAIT_S, LONGEST_BLOCKED_S)

    def _wait(self, order_id: str, first_s: float, longest_s: float) -> None:
        """Longer with every try in a row."""
        tries = self._tries[order_id] = self._tries.get(order_id, 0) + 1
        pause = min(first_s * 2 ** min(tries - 1, 10), max(first_s, longest_s))
        self._not_before[order_id] = asyncio.get_running_loop().time() + pause
