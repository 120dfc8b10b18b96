"""`lorasmith backup` and `lorasmith restore`: the whole installation as one file, made while it works.

Rows name files that were there before them, so the database is copied first (SQLite's online backup: one consistent instant) and
the artifacts of its orders after it. What was deleted in between is not in the file any more; what came in between is in it and
does no harm. The list of everything, with hashes, is the file's last member: one that was cut off lacks it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import sqlalchemy as sa

from storage import disk
from storage.artifacts import checked, is_temporary
from storage.database import Database, migrate, require_not_newer
from storage.domain.errors import LorasmithError, SetupError
from storage.settings import StorageSettings
from storage.system import sync_file, sync_folder

DATABASE, ARTIFACTS, LIST = "lorasmith.db", "artifacts/", "contents.json"
MAX_LIST_BYTES = 256 << 20
CHUNK = 1 << 20


class NotABackup(LorasmithError):
    """This file is no whole backup of lorasmith."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """What a backup or a restore moved."""

    files: int
    bytes: int
    gone: int = 0
    """Files that were deleted while the backup was made."""


def database_file(settings: StorageSettings) -> Path:
    """Raises `SetupError` where the database is no file, and says what to do there."""
    if not settings.on_sqlite:
        raise SetupError(
            "This installation is on PostgreSQL, which has its own: first `pg_dump -Fc --file=lorasmith.dump URL`, then a copy "
            "of the artifacts, in this order; back with `pg_restore --clean --if-exists --dbname=URL lorasmith.dump`."
        )
    return Path(str(sa.make_url(settings.database).database))


def back_up(settings: StorageSettings, target: Path) -> Made:
    """Write everything to `target`, which holds its old contents until the new ones are whole. Bot and workers may go on.

    An S3 store has backups of its own: then only the database is in the file. Raises `SetupError`.
    """
    source = database_file(settings)
    if not source.is_file():
        raise SetupError(f"There is no database at {source}: nothing to back up.")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part-{os.getpid()}")
    try:
        with _for_us_alone(part) as file, tarfile.open(fileobj=file, mode="w|") as archive:
            made = _write(archive, settings, source)
        sync_file(part)
        part.replace(target)
        sync_folder(target.parent)
    finally:
        part.unlink(missing_ok=True)
    return made


def _for_us_alone(path: Path) -> IO[bytes]:
    """A new file. Members' pictures, and the key of the download links, are in it."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _write(archive: tarfile.TarFile, settings: StorageSettings, source: Path) -> Made:
    listed: dict[str, list[object]] = {}
    gone = 0
    with tempfile.TemporaryDirectory(dir=source.parent, prefix=".backup-") as folder:
        copy = Path(folder) / DATABASE
        _snapshot(source, copy)
        _add(archive, DATABASE, copy, listed)
        orders = _orders(copy)
    for key, path in _artifacts(settings.artifacts_folder, orders):
        try:
            _add(archive, f"{ARTIFACTS}{key}", path, listed)
        except FileNotFoundError:
            gone += 1
    text = json.dumps(listed).encode()
    info = tarfile.TarInfo(LIST)
    info.size = len(text)
    archive.addfile(info, io.BytesIO(text))
    return Made(files=len(listed), bytes=sum(int(str(size)) for size, _ in listed.values()), gone=gone)


def _snapshot(source: Path, copy: Path) -> None:
    with (
        closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True, timeout=60)) as from_,
        closing(sqlite3.connect(copy)) as to,
    ):
        from_.backup(to)


def _orders(copy: Path) -> frozenset[str]:
    with closing(sqlite3.connect(copy)) as database:
        return frozenset(str(row[0]) for row in database.execute("SELECT id FROM orders"))


def _artifacts(folder: Path | None, orders: frozenset[str]) -> Iterator[tuple[str, Path]]:
    """Every file of these orders; half-written ones are nobody's yet."""
    if folder is None:
        return
    for order_id in sorted(orders):
        home = folder / "orders" / order_id
        for path in sorted(p for p in home.rglob("*") if p.is_file() and not p.is_symlink() and not is_temporary(p)):
            yield path.relative_to(folder).as_posix(), path


def _add(archive: tarfile.TarFile, name: str, path: Path, listed: dict[str, list[object]]) -> None:
    """Raises `FileNotFoundError` where it is not there any more."""
    with path.open("rb") as file:
        info = tarfile.TarInfo(name)
        info.size, info.mode = os.fstat(file.fileno()).st_size, 0o600
        reader = _Hashed(file)
        archive.addfile(info, reader)
        listed[name] = [info.size, reader.hash.hexdigest()]


class _Hashed:
    """A file that is hashed as it is read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.hash = hashlib.sha256()

    def read(self, count: int = -1) -> bytes:
        chunk = self._file.read(count)
        self.hash.update(chunk)
        return chunk


def restore(settings: StorageSettings, source: Path) -> Made:
    """Make this installation what the file holds. Only where there is none yet: nothing is overwritten.

    Everything is read and held against the list before anything is moved to its place. An older database is brought to this
    version. Raises `NotABackup`, `NewerDatabase` or `SetupError`.
    """
    database, artifacts = database_file(settings), settings.artifacts_folder
    for place in (database, artifacts):
        if place is not None and place.exists() and (place.is_file() or any(place.iterdir())):
            raise SetupError(f"{place} is there already. Stop bot and workers, move it away, and restore again.")
    if not source.is_file():
        raise SetupError(f"There is no file {source}.")
    database.parent.mkdir(parents=True, exist_ok=True)
    disk.require({database.parent: source.stat().st_size})
    with tempfile.TemporaryDirectory(dir=database.parent, prefix=".restore-") as name:
        folder = Path(name)
        made = _read(source, folder)
        _usable(settings, folder)
        _move(folder, database, artifacts)
    migrate(settings)
    return made


def _read(source: Path, folder: Path) -> Made:
    found: dict[str, list[object]] = {}
    listed: object = None
    with _tar(source) as archive:
        for member in archive:
            if not member.isreg() or listed is not None:
                raise NotABackup(f"{source.name} holds {member.name[:80]!r}, which no backup does")
            file = archive.extractfile(member)
            if file is None or member.name in found:
                raise NotABackup
            if member.name == LIST:
                listed = json.loads(file.read(MAX_LIST_BYTES))
            else:
                found[member.name] = [member.size, _unpack(file, folder, member.name)]
    if listed != found or DATABASE not in found:
        raise NotABackup(f"{source.name} is damaged or was cut off: what it holds is not what its list says")
    return Made(files=len(found), bytes=sum(int(str(size)) for size, _ in found.values()))


@contextmanager
def _tar(source: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(source, mode="r|") as archive:
            yield archive
    except (tarfile.TarError, ValueError, EOFError) as error:
        raise NotABackup(f"{source.name} is no whole backup of lorasmith: {error}") from error


def _unpack(file: IO[bytes], folder: Path, name: str) -> str:
    """Raises `ValueError` for a name that leads elsewhere."""
    key = name.removeprefix(ARTIFACTS)
    path = folder / (DATABASE if name == DATABASE else f"{ARTIFACTS}{checked(key)}")
    if name not in (DATABASE, f"{ARTIFACTS}{key}"):
        raise ValueError(f"it holds {name[:80]!r}")
    path.parent.mkdir(parents=True, exist_ok=True)
    hashed = hashlib.sha256()
    with _for_us_alone(path) as out:
        while chunk := file.read(CHUNK):
            hashed.update(chunk)
            out.write(chunk)
        out.flush()
        os.fsync(out.fileno())
    return hashed.hexdigest()


def _usable(settings: StorageSettings, folder: Path) -> None:
    copy = folder / DATABASE
    try:
        with closing(sqlite3.connect(copy)) as database:
            (said,) = database.execute("PRAGMA quick_check").fetchone()
    except sqlite3.DatabaseError as error:
        raise NotABackup(f"its database is damaged: {error}") from error
    if said != "ok":
        raise NotABackup(f"its database is damaged: {said}")
    there = Database(settings.model_copy(update={"database_url": f"sqlite:///{copy}"}))
    try:
        require_not_newer(there)
    finally:
        there.close()


def _move(folder: Path, database: Path, artifacts: Path | None) -> None:
    """The database last: rows name files that are there."""
    unpacked = folder / ARTIFACTS
    if artifacts is not None and unpacked.is_dir():
        artifacts.parent.mkdir(parents=True, exist_ok=True)
        if artifacts.is_dir():
            artifacts.rmdir()
        unpacked.rename(artifacts)
        sync_folder(artifacts.parent)
    (folder / DATABASE).rename(database)
    sync_folder(database.parent)
