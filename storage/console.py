# ruff: noqa: T201  # it talks to the operator's terminal
"""What an operator does to a running installation from a terminal: migrate, pause, resume, backup, restore."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from storage import turns
from storage.backup import back_up
from storage.database import Database, migrate, require_current
from storage.disk import gigabytes
from storage.domain.errors import LorasmithError
from storage.engine import Engine
from storage.options import Options
from storage.restore import restore
from storage.settings import StorageSettings, wrong_settings

SAYS = {
    "migrate": "Bring the database to this version of lorasmith. The bot does it too when it starts; workers wait for it.",
    "pause": "Give no more turns on the GPU. What runs goes on to its next checkpoint; orders are still taken and wait.",
    "backup": "Write database and artifacts to one file, while bot and workers go on. A file of that name is replaced; what was "
    "deleted since is in the new one no more: keep old ones no longer than your retention.",
    "restore": "Make an installation of a backup, where there is none yet. An older one is brought to this version; one of a "
    "newer lorasmith is refused.",
    "resume": "Give turns on the GPU again, after `lorasmith pause`. Orders that waited go on where they were in line.",
}


def run(verb: str, arguments: Sequence[str]) -> int:
    """Do it and say so; exit code 2 where the set-up is wrong."""
    parser = Options(verb, SAYS[verb])
    if verb in ("backup", "restore"):
        parser.add_argument(
            "file", type=Path, metavar="FILE", help="e.g. lorasmith.tar; for you alone: it holds pictures"
        )
    given = parser.parse_args(arguments)
    try:
        settings = StorageSettings()
        print(_said(settings, verb, given))
    except ValidationError as error:
        return _refuse("\n".join(wrong_settings(error)))
    except LorasmithError as error:
        return _refuse(str(error))
    return 0


def _said(settings: StorageSettings, verb: str, given: argparse.Namespace) -> str:
    if verb == "migrate":
        return _migrate(settings)
    if verb == "backup":
        made = back_up(settings, given.file)
        gone = f"; {made.gone} were deleted meanwhile" if made.gone else ""
        elsewhere = (
            ""
            if settings.artifacts_folder
            else " The artifacts are in a store of their own: back that up too, after this."
        )
        return f"{given.file}: {made.files} files, {gigabytes(made.bytes)}{gone}.{elsewhere}"
    if verb == "restore":
        made = restore(settings, given.file)
        return f"{made.files} files, {gigabytes(made.bytes)}: this installation is what {given.file} holds. Start it."
    return asyncio.run(_switch(settings, verb))


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
