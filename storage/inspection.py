# ruff: noqa: T201  # it talks to the operator's terminal
"""`lorasmith doctor`: looks for everything that usually goes wrong with an installation, and says how to mend it.

The bot's half and the worker's half look by themselves, each in a process of its own (neither may import the other, and the
worker's asks torch in a third one); here are disk, database and store.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import sqlalchemy as sa
from pydantic import ValidationError
from sqlmodel import Session, col, select

from storage import leases
from storage.artifacts import Artifacts
from storage.database import Database, require_current
from storage.disk import gigabytes
from storage.domain.errors import LorasmithError, MixedSetup, NewerDatabase, NotMigrated
from storage.domain.inspection import Remark, from_json, is_well, note, ok, text, to_json, wrong
from storage.options import Options
from storage.settings import StorageSettings, wrong_settings
from storage.tables import Checkpoint, Order

SAYS = (
    "Look for what usually goes wrong: token, intents, permissions by channel, clock, disk, ports, public address, database and "
    "store, base weights, graphics card. Every finding says how to mend it. Nothing is changed. Exit code 0 where all is well."
)
HALVES = {"bot": ("discord", "bot.inspection"), "trainer": ("torch", "trainer.inspection")}
"""By extra: the package that shows that it is installed, and the module that looks."""
HALF_S = 180.0
LITTLE_ROOM = 10_000_000_000
"""An order of SDXL takes a few GB on its way: checkpoints, resume states, pictures."""
AWAY = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "virtiofs"})
"""File systems of other machines, on which locks do not hold: https://www.sqlite.org/faq.html#q5 and wal.html."""
SAMPLE = 20


def run(arguments: Sequence[str]) -> int:
    """0 where all is well, else 2."""
    parser = Options("doctor", SAYS)
    parser.add_argument("--json", action="store_true", help="one list of objects: level, about, says, mend")
    given = parser.parse_args(arguments)
    remarks = asyncio.run(inspected())
    print(json.dumps(json.loads(to_json(remarks)), indent=2) if given.json else _for_people(remarks))
    return 0 if is_well(remarks) else 2


def _for_people(remarks: Sequence[Remark]) -> str:
    count = sum(not is_well([remark]) for remark in remarks)
    return f"{text(remarks)}\n\n" + ("All is well." if not count else f"{count} to mend.")


async def inspected(halves: Sequence[str] = tuple(HALVES)) -> list[Remark]:
    """Everything that was found, here and by both halves, which look side by side."""
    try:
        settings = StorageSettings()
    except ValidationError as error:
        return [_setting(line) for line in wrong_settings(error)]
    found = await asyncio.gather(installation(settings), *(_half(name) for name in halves))
    return [remark for remarks in found for remark in remarks]


def _setting(line: str) -> Remark:
    return wrong("settings", line, "Correct it in .env or in the environment; .env.example says what each one means.")


async def _half(name: str) -> list[Remark]:
    proof, module = HALVES[name]
    if not _installed(proof):
        return [note(name, f"not looked at: lorasmith[{name}] is not installed here")]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(HALF_S):
            out, err = await process.communicate()
        return from_json(out.decode())
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        return [
            wrong(
                name, f"its half of the look took more than {HALF_S:.0f} s", "Look at what this machine is busy with."
            )
        ]
    except (ValueError, KeyError, TypeError):
        last = (err.decode(errors="replace").strip().splitlines() or ["no reason given"])[-1]
        return [wrong(name, f"its half of the look did not work: {last[:300]}", "Install lorasmith again.")]


def _installed(package: str) -> bool:
    from storage.command import is_there  # noqa: PLC0415  # the table of verbs imports this module

    return is_there(package)


async def installation(settings: StorageSettings) -> list[Remark]:
    """Disk, database and store."""
    remarks = [*_disks(settings)]
    if settings.on_sqlite and not (file := _file(settings)).exists():
        return [*remarks, note("database", f"{file} is not there yet; the first start of the bot makes it")]
    database = Database(settings)
    try:
        remarks.append(await asyncio.to_thread(_version, database))
        if is_well(remarks[-1:]) and remarks[-1].level == "ok":
            remarks += await _contents(settings, database)
    finally:
        database.close()
    return remarks


def _file(settings: StorageSettings) -> Path:
    return Path(str(sa.make_url(settings.database).database))


def _disks(settings: StorageSettings) -> Iterator[Remark]:
    for name, folder in {"data": settings.data_dir.resolve(), "artifacts": settings.artifacts_folder}.items():
        if folder is not None:
            yield _disk(name, folder)
    kind = _file_system(_file(settings).parent) if settings.on_sqlite else ""
    if kind in AWAY:
        yield wrong(
            "database",
            f"the SQLite file is on {kind}, where locks of files do not hold: it would be damaged sooner or later",
            "Move LORASMITH_DATA_DIR to a disk of this machine, or use PostgreSQL (LORASMITH_DATABASE_URL).",
        )


def _disk(name: str, folder: Path) -> Remark:
    place = next(p for p in (folder, *folder.parents) if p.exists())
    if not os.access(place, os.W_OK):
        return wrong(
            "disk", f"{place} cannot be written to ({name})", f"Give this user the right to write there: chown {place}"
        )
    free = shutil.disk_usage(place).free
    if free < LITTLE_ROOM:
        return note(
            "disk", f"{gigabytes(free)} are free for {name} ({place})", "Free some: an order takes a few GB on its way."
        )
    return ok("disk", f"{gigabytes(free)} are free for {name} ({place})")


def _file_system(folder: Path, mounts: Path = Path("/proc/mounts")) -> str:
    """The kind of the file system that a folder is on; empty where nobody can say."""
    try:
        rows = [line.split() for line in mounts.read_text().splitlines()]
    except OSError:
        return ""
    over = [row for row in rows if len(row) > 2 and folder.resolve().is_relative_to(row[1].replace("\\040", " "))]
    return max(over, key=lambda row: len(row[1]), default=["", "", ""])[2]


def _version(database: Database) -> Remark:
    try:
        require_current(database)
    except NotMigrated:
        return note(
            "database",
            "it is of an older version",
            "The bot brings it up to date when it starts, or: lorasmith migrate",
        )
    except NewerDatabase:
        return wrong(
            "database", "it was written by a newer lorasmith", "Install that version again, or restore an older backup."
        )
    except LorasmithError as error:
        return wrong("database", str(error), "Start it, or correct LORASMITH_DATABASE_URL.")
    where = "SQLite" if database.settings.on_sqlite else "PostgreSQL"
    return ok("database", f"{where}, of this version")


async def _contents(settings: StorageSettings, database: Database) -> list[Remark]:
    return [
        await database.transact(_machines, settings),
        await database.transact(_living),
        await _store(settings, await database.transact(_named)),
    ]


def _machines(session: Session, settings: StorageSettings) -> Remark:
    try:
        leases.refuse_mixed(session, settings)
    except MixedSetup as error:
        return wrong("machines", str(error), "Give all of them one database and one store, or stop those elsewhere.")
    return ok("machines", "database and store are where all running parts can reach them")


def _living(session: Session) -> Remark:
    bot, workers = leases.living_bot(session), leases.workers(session)
    says = f"the bot {'runs' if bot else 'does not run'}; {len(workers)} worker{'' if len(workers) == 1 else 's'} run"
    return (ok if bot and workers else note)("running", says)


def _named(session: Session) -> list[str]:
    """Files of the newest checkpoints that no tidying has touched: they have to be in the store."""
    query = select(Checkpoint.lora_artifact).join(Order, col(Order.id) == col(Checkpoint.order_id))
    whole = query.where(Order.tidied == "", col(Order.removed_at).is_(None), Checkpoint.lora_artifact != "")
    return list(session.exec(whole.order_by(col(Order.created_at).desc()).limit(SAMPLE)).all())


async def _store(settings: StorageSettings, keys: Sequence[str]) -> Remark:
    where = settings.artifacts_folder or settings.artifacts_url
    try:
        async with asyncio.timeout(20):
            there = await _there(settings, keys)
    except Exception as error:  # noqa: BLE001  # whatever a store of somebody else's can raise
        return wrong(
            "store", f"{where} does not answer: {type(error).__name__}", "Look at LORASMITH_ARTIFACTS_URL and AWS_*."
        )
    if not all(there):
        return wrong(
            "store",
            f"{there.count(False)} of {len(keys)} files that the database names are not in {where}",
            "Database and store do not belong together: LORASMITH_DATA_DIR, _DATABASE_URL or _ARTIFACTS_URL was changed, or one "
            "was restored without the other.",
        )
    return ok(
        "store", f"{where}; it has the newest {len(keys)} files that the database names" if keys else f"{where}; empty"
    )


async def _there(settings: StorageSettings, keys: Sequence[str]) -> list[bool]:
    """Of each file, whether the store has it. A folder that is not there is not opened: that would make it."""
    folder = settings.artifacts_folder
    if folder is not None and not await asyncio.to_thread(folder.is_dir):
        return [False for _ in keys]
    artifacts = Artifacts(settings)
    return [await artifacts.exists(key) for key in keys]


def tell(remarks: Sequence[Remark]) -> int:
    """How a half hands over what it found."""
    sys.stdout.write(to_json(remarks) + "\n")
    return 0
