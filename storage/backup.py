"""`lorasmith backup`: the whole installation as one file, made while it works. `storage/restore.py` makes an installation of it.

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
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import sqlalchemy as sa

from storage.artifacts import is_temporary
from storage.domain.errors import SetupError
from storage.settings import StorageSettings
from storage.system import sync_file, sync_folder

DATABASE, ARTIFACTS, LIST = "lorasmith.db", "artifacts/", "contents.json"
SIDES = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside its file: https://www.sqlite.org/tempfiles.html."""


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
    _require_elsewhere(target, settings, source)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part-{os.getpid()}")
    try:
        with for_us_alone(part) as file, tarfile.open(fileobj=file, mode="w|") as archive:
            made = _write(archive, settings, source)
        sync_file(part)
        part.replace(target)
        sync_folder(target.parent)
    finally:
        part.unlink(missing_ok=True)
    return made


def _require_elsewhere(target: Path, settings: StorageSettings, database: Path) -> None:
    """A backup never takes the place of what it is of."""
    place, folder = target.resolve(), settings.artifacts_folder
    own = [database, *(database.with_name(f"{database.name}{side}") for side in SIDES)]
    if any(place == path.resolve() or (place.exists() and path.exists() and place.samefile(path)) for path in own):
        raise SetupError(f"{target} is this installation's own database: name another file for the backup.")
    if folder is not None and place.is_relative_to(folder):
        raise SetupError(f"{target} is inside of the artifacts, which are backed up: name a file elsewhere.")
    if place.is_dir():
        raise SetupError(f"{target} is a folder: name a file in it.")


def for_us_alone(path: Path) -> IO[bytes]:
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
