"""Takes back what dead workers left: their turns in our rows, their workflows in the engine, then their lease."""

from __future__ import annotations

from storage import leases, turns
from storage.database import Database
from storage.engine import Engine


async def reap(database: Database, engine: Engine) -> list[str]:
    """Reap every worker whose lease ran out; gives back their names. Every living worker calls this with its beat.

    The lease goes last, so that a reaper that dies half way, or an engine that could not free everything, is made up for by
    the next one. Several reapers at once are harmless: each step only takes what still names the dead one.
    """
    dead = [lease.name for lease in await database.transact(leases.expired)]
    for name in dead:
        await database.transact(turns.give_up, engine, name)
        if await engine.recover(name) == 0:
            await database.transact(leases.drop_expired, name)
    return dead
