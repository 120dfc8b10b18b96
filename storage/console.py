# ruff: noqa: T201  # it talks to the operator's terminal
"""What an operator does to a running installation from a terminal: migrate, pause, resume."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from pydantic import ValidationError

from storage import turns
from storage.database import Database, migrate, require_current
from storage.domain.errors import SetupError
from storage.engine import Engine
from storage.options import Options
from storage.settings import StorageSettings, wrong_settings

SAYS = {
    "migrate": "Bring the database to this version of lorasmith. The bot does it too when it starts; workers wait for it.",
    "pause": "Give no more turns on the GPU. What runs goes on to its next checkpoint; orders are still taken and wait.",
    "resume": "Give turns on the GPU again, after `lorasmith pause`. Orders that waited go on where they were in line.",
}


def run(verb: str, arguments: Sequence[str]) -> int:
    """Do it and say so; exit code 2 where the set-up is wrong."""
    Options(verb, SAYS[verb]).parse_args(arguments)
    try:
        settings = StorageSettings()
        print(_migrate(settings) if verb == "migrate" else asyncio.run(_switch(settings, verb)))
    except ValidationError as error:
        return _refuse("\n".join(wrong_settings(error)))
    except SetupError as error:
        return _refuse(str(error))
    return 0


def _migrate(settings: StorageSettings) -> str:
    migrate(settings)
    return "The database is ready."


async def _switch(settings: StorageSettings, verb: str) -> str:
    database = Database(settings)
    engine = Engine(settings, database, "console")
    try:
        await asyncio.to_thread(require_current, database)
        if verb == "pause":
            await database.transact(turns.pause)
            return "Paused: no more turns on the GPU are given. What runs goes on to its next checkpoint."
        await database.transact(turns.resume, engine)
        return "Resumed: turns on the GPU are given again."
    finally:
        await engine.close()
        database.close()


def _refuse(why: str) -> int:
    print(f"lorasmith: {why}", file=sys.stderr)
    return 2
