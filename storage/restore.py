"""`lorasmith restore`: an installation of what `lorasmith backup` wrote. All is proved before anything is in its place."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from storage import disk
from storage.artifacts import checked
from storage.backup import ARTIFACTS, DATABASE, LIST, SIDES, Made, database_file, for_us_alone
from storage.database import Database, migrate, require_not_newer
from storage.domain.errors import LorasmithError, SetupError
from storage.settings import StorageSettings
from storage.system import sync_folder

MAX_LIST_BYTES = 256 << 20
CHUNK = 1 << 20
_OF_NAMES = frozenset({errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ})
"""What a disk says of names that cannot lie beside each other, or at all: then the file is to blame, not the machine."""


class NotABackup(LorasmithError):
    """This file is no whole backup of lorasmith."""


def restore(settings: StorageSettings, source: Path) -> Made:
    """Make this installation what the file holds. Only where there is none yet: nothing is overwritten.

    Everything is read and held against the list before anything is moved to its place. An older database is brought to this
    version. Raises `NotABackup`, `NewerDatabase` or `SetupError`.
    """
    database, artifacts = database_file(settings), settings.artifacts_folder
    _require_none(database, artifacts)
    if not source.is_file():
        raise SetupError(f"There is no file {source}.")
    try:
        with _unpacking(database, artifacts) as unpacked:
            _require_room(source, unpacked)
            made = _read(source, unpacked)
            _usable(settings, unpacked.database)
            _move(unpacked, database, artifacts)
    except OSError as error:
        raise SetupError(f"{source} could not be restored: {error}.") from error
    migrate(settings)
    return made


def _require_none(database: Path, artifacts: Path | None) -> None:
    """SQLite would play an old journal into the new database: https://www.sqlite.org/howtocorrupt.html, section 1.4."""
    for place in (database, *(database.with_name(f"{database.name}{side}") for side in SIDES), artifacts):
        if place is not None and place.exists() and (place.is_file() or any(place.iterdir())):
            raise SetupError(f"{place} is there already. Stop bot and workers, move it away, and restore again.")


@dataclass(frozen=True, kw_only=True)
class _Unpacked:
    """Folders of what is not proved yet, each on the disk of its place: a rename brings it there."""

    home: Path
    artifacts: Path

    @property
    def database(self) -> Path:
        return self.home / DATABASE

    def place(self, name: str) -> Path:
        """Of one member. Raises `ValueError` for a name that leads elsewhere."""
        if name == DATABASE:
            return self.database
        if not name.startswith(ARTIFACTS):
            raise ValueError(f"it holds {name[:80]!r}")
        return self.artifacts / checked(name.removeprefix(ARTIFACTS))


@contextmanager
def _unpacking(database: Path, artifacts: Path | None) -> Iterator[_Unpacked]:
    """Nothing of it is left behind, whatever happens. The folder of artifacts may be a disk of its own."""
    with ExitStack() as stack:
        database.parent.mkdir(parents=True, exist_ok=True)
        if artifacts is not None and not artifacts.exists():
            artifacts.mkdir(parents=True)
            stack.callback(_drop_if_empty, artifacts)
        home = Path(stack.enter_context(TemporaryDirectory(dir=database.parent, prefix=".restore-")))
        if artifacts is None:
            yield _Unpacked(home=home, artifacts=home / ARTIFACTS)
        else:
            there = stack.enter_context(TemporaryDirectory(dir=artifacts, prefix=".restore-"))
            yield _Unpacked(home=home, artifacts=Path(there))


def _drop_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def _require_room(source: Path, unpacked: _Unpacked) -> None:
    """How much of it is whose is not known yet: each disk has to have room for all."""
    folders = (unpacked.home, unpacked.artifacts) if unpacked.artifacts.exists() else (unpacked.home,)
    by_disk = {folder.stat().st_dev: folder for folder in folders}
    disk.require(dict.fromkeys(by_disk.values(), source.stat().st_size))


def _read(source: Path, unpacked: _Unpacked) -> Made:
    found: dict[str, list[object]] = {}
    listed: object = None
    left = source.stat().st_size
    with _tar(source) as archive:
        for member in archive:
            left -= member.size
            if not member.isreg() or member.issparse() or left < 0 or listed is not None or member.name in found:
                raise NotABackup(f"{source.name} holds {member.name[:80]!r}, which no backup does")
            file = archive.extractfile(member)
            if file is None:
                raise NotABackup
            if member.name == LIST:
                listed = json.loads(file.read(MAX_LIST_BYTES))
            else:
                found[member.name] = [member.size, _unpack(file, unpacked.place(member.name))]
    if listed != found or DATABASE not in found:
        raise NotABackup(f"{source.name} is damaged or was cut off: what it holds is not what its list says")
    return Made(files=len(found), bytes=sum(int(str(size)) for size, _ in found.values()))


@contextmanager
def _tar(source: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(source, mode="r|") as archive:
            yield archive
    except (tarfile.TarError, ValueError, EOFError, RecursionError) as error:
        raise NotABackup(f"{source.name} is no whole backup of lorasmith: {error}") from error
    except OSError as error:
        if error.errno not in _OF_NAMES:
            raise
        raise NotABackup(f"{source.name} is no whole backup of lorasmith: {error.strerror}") from error


def _unpack(file: IO[bytes], path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    hashed = hashlib.sha256()
    with for_us_alone(path) as out:
        while chunk := file.read(CHUNK):
            hashed.update(chunk)
            out.write(chunk)
        out.flush()
        os.fsync(out.fileno())
    return hashed.hexdigest()


def _usable(settings: StorageSettings, copy: Path) -> None:
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


def _move(unpacked: _Unpacked, database: Path, artifacts: Path | None) -> None:
    """The database last: rows name files that are there."""
    if artifacts is not None:
        for child in sorted(unpacked.artifacts.iterdir()):
            child.rename(artifacts / child.name)
        sync_folder(artifacts)
        sync_folder(artifacts.parent)
    unpacked.database.rename(database)
    sync_folder(database.parent)
