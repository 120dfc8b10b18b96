"""Delivered orders on the operator's model hub: beside the delivery and after it, one row an order, tried again by itself.

The row is written in the transaction that says delivered. The repository's name holds the order's id, so a try that was cut
off goes on in the same place, and what is the same is not sent again.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
from pathlib import Path

from bot.parts import Parts
from bot.shown import look_at
from bot.threads import Threads
from storage import hub, shares
from storage.domain.errors import LorasmithError
from storage.logs import about
from storage.parcel import parcel_of
from storage.tables import Share, now
from storage.view import view_of
from storage.written import write_out

log = logging.getLogger(__name__)

LOOK_S = 5.0


async def run(parts: Parts) -> None:
    """Look now and then, until cancelled."""
    if not parts.settings.hub_namespace:
        return
    threads = Threads(parts)
    while True:
        try:
            for row in await parts.database.transact(shares.due, now()):
                with about(row.order_id):
                    await _advance(parts, threads, row)
        except Exception:
            log.exception("sharing failed; it is tried again")
        await asyncio.sleep(min(LOOK_S, 5 * parts.settings.look_s))


async def _advance(parts: Parts, threads: Threads, row: Share) -> None:
    """One step further; what fails is tried later, and no other order waits for it."""
    try:
        if await parts.database.transact(shares.is_removed, row.order_id):
            await _take_back(parts, row)
        elif not row.url:
            await parts.database.transact(shares.shared, row.order_id, await _put(parts, row))
        else:
            await _tell(parts, threads, row)
    except Exception as error:  # noqa: BLE001  # whatever is wrong with one order, the others are shared
        reason = str(error) if isinstance(error, LorasmithError) else type(error).__name__
        log.warning(
            "order %s is not shared yet (try %d of %d): %s", row.order_id, row.tries + 1, shares.MOST_TRIES, reason
        )
        await parts.database.transact(shares.failed, row.order_id, reason)


async def _put(parts: Parts, row: Share) -> str:
    """Everything that `lorasmith push` shares, from the same folder that `lorasmith train` writes."""
    settings = parts.settings
    view = await view_of(parts.database, parts.artifacts, row.order_id)
    with tempfile.TemporaryDirectory() as folder:
        files = await write_out(view, parts.artifacts, Path(folder))
        parcel = await asyncio.to_thread(parcel_of, Path(folder) / files["lora"], row.repository)
        return await asyncio.to_thread(
            hub.put,
            row.repository,
            parcel.uploads,
            token=hub.token_of_environment(),
            public=settings.hub_public,
            again=True,
        )


async def _tell(parts: Parts, threads: Threads, row: Share) -> None:
    it = await parts.database.transact(look_at, row.order_id)
    if it is not None and "card" in it.posts:
        await threads.card_again(it)
        await parts.database.transact(shares.told, row.order_id)
    else:  # the card that is still to come has the link
        await parts.database.transact(shares.later, row.order_id)


async def _take_back(parts: Parts, row: Share) -> None:
    token = hub.token_of_environment()
    if token is None:
        raise hub.HubRefused("there is no token to take a removed order from the hub")
    await asyncio.to_thread(hub.remove, row.repository, token=token)
    await parts.database.transact(shares.gone, row.order_id)
