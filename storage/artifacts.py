"""Files that outlive a process: pictures, checkpoints, resume states, deliveries. A folder by default, S3 when shared.

A file is there whole or not at all, in both directions. Rows name files by key and are written after the file.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import obstore
from obstore.store import LocalStore, ObjectStore, S3Store

from storage.settings import StorageSettings
from storage.system import sync_file, sync_folder

MAX_KEY = 300
STALE_S = 3600.0
"""A temporary file that nobody wrote to for so long belongs to a dead process."""
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*(/[A-Za-z0-9][A-Za-z0-9_.+-]*)*")
_TEMPORARY = re.compile(r".*#\d+$|.*\.part-[A-Za-z0-9_]+$")


class Missing(FileNotFoundError):
    """No artifact has this key."""


class TooLarge(ValueError):
    """The artifact is larger than the reader wanted to hold in memory."""


class Artifacts:
    """The artifact store of this installation."""

    def __init__(self, settings: StorageSettings) -> None:
        self.folder = settings.artifacts_folder
        self._store = _open(settings)

    async def put(self, key: str, what: Path | bytes) -> None:
        """Store a file or bytes under a key, replacing what was there. On return it survives a power cut."""
        await obstore.put_async(self._store, checked(key), what)
        if (path := self.local_path(key)) is not None:
            await asyncio.to_thread(_sync, path)

    async def read(self, key: str, max_bytes: int) -> bytes:
        """The bytes of a small artifact. Raises `Missing`, or `TooLarge` before reading it."""
        found = await self._get(key)
        if found.meta["size"] > max_bytes:
            raise TooLarge(f"{key}: {found.meta['size']} bytes, more than {max_bytes}")
        return bytes(await found.bytes_async())

    async def fetch(self, key: str, path: Path) -> Path:
        """Copy an artifact to `path`, which holds either what it held before or the whole file. Raises `Missing`."""
        found = await self._get(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.part-")
        try:
            with os.fdopen(handle, "wb") as file:
                async for chunk in found.stream():
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)
        return path

    async def exists(self, key: str) -> bool:
        """Whether there is an artifact with this key."""
        try:
            await obstore.head_async(self._store, checked(key))
        except FileNotFoundError:
            return False
        return True

    async def list(self, prefix: str) -> list[str]:
        """All keys under a folder such as `orders/<id>/checkpoints`, sorted."""
        return sorted(key for key, _ in await self._entries(prefix))

    async def size(self, prefix: str) -> int:
        """Bytes under a folder; all bytes for an empty prefix."""
        return sum(size for _, size in await self._entries(prefix))

    async def delete(self, prefix: str) -> int:
        """Delete one artifact, or everything under a folder; gives back how many. Nothing there is no error."""
        keys = await self.list(prefix) or ([prefix] if await self.exists(prefix) else [])
        if keys:
            await self._delete(keys)
        if self.folder is not None:
            await asyncio.to_thread(_remove_empty, self.folder / checked(prefix))
        return len(keys)

    async def _delete(self, keys: Sequence[str]) -> None:
        try:
            await obstore.delete_async(self._store, keys)
        except FileNotFoundError:  # somebody else deletes here too: what is left goes one by one
            for key in keys:
                with contextlib.suppress(FileNotFoundError):
                    await obstore.delete_async(self._store, key)

    def url(self, key: str, seconds: float) -> str | None:
        """A link that anybody may read the artifact by for so long; None for a folder, which cannot be linked to."""
        if self.folder is not None:
            return None
        store: Any = self._store
        return str(obstore.sign(store, "GET", checked(key), timedelta(seconds=seconds)))

    def local_path(self, key: str) -> Path | None:
        """Where the artifact lies on this machine; None in a shared store. It may not exist."""
        return None if self.folder is None else self.folder / checked(key)

    def sweep(self, stale_s: float = STALE_S) -> int:
        """Delete temporary files that dead processes left in the folder; gives back how many."""
        if self.folder is None:
            return 0
        oldest = time.time() - stale_s
        stale = [p for p in _temporary(self.folder) if p.stat().st_mtime < oldest]
        for path in stale:
            path.unlink(missing_ok=True)
        return len(stale)

    async def _get(self, key: str) -> Any:  # noqa: ANN401  # obstore's GetResult is known to type checkers only
        try:
            return await obstore.get_async(self._store, checked(key))
        except FileNotFoundError as error:
            raise Missing(key) from error

    async def _entries(self, prefix: str) -> Sequence[tuple[str, int]]:
        under = f"{checked(prefix)}/" if prefix else None
        found: list[tuple[str, int]] = []
        async for batch in obstore.list(self._store, prefix=under):
            found += [(meta["path"], meta["size"]) for meta in batch if not _TEMPORARY.fullmatch(meta["path"])]
        return found


def checked(key: str) -> str:
    """The key itself, if it is one: plain names joined by slashes, no dots in front. Raises `ValueError`."""
    if len(key) > MAX_KEY or not _KEY.fullmatch(key):
        raise ValueError(f"not a key of an artifact: {key!r}")
    return key


def _open(settings: StorageSettings) -> ObjectStore:
    if settings.artifacts_folder is not None:
        return LocalStore(settings.artifacts_folder, mkdir=True)
    url = settings.artifacts_url or ""
    if not url.startswith("s3://"):
        raise ValueError("artifacts are in a folder or in an S3 store: s3://bucket/prefix")
    return S3Store.from_url(url)


def _sync(path: Path) -> None:
    sync_file(path)
    sync_folder(path.parent)


def _remove_empty(folder: Path) -> None:
    if folder.is_dir() and not any(p.is_file() for p in folder.rglob("*")):
        shutil.rmtree(folder, ignore_errors=True)


def is_temporary(path: Path) -> bool:
    """Whether a file of the folder is one that is still being written."""
    return _TEMPORARY.fullmatch(path.name) is not None


def _temporary(folder: Path) -> Iterator[Path]:
    return (p for p in folder.rglob("*") if p.is_file() and is_temporary(p))
