"""Whether there is room on a disk, and whether an error means that there was none."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from storage.domain.errors import SetupError

SPARE_BYTES = 256 << 20
"""Left over for logs, the database and whoever else writes there."""
_FULL = (errno.ENOSPC, errno.EDQUOT)
_SAID = ("No space left on device", "os error 28)", "Disk quota exceeded", "os error 122)", "database or disk is full")
"""How libraries that are not written in Python say it, in the text of errors of their own."""


class NoRoom(SetupError):
    """The disk has too little room for this."""


def is_full(error: BaseException | None) -> bool:
    """Whether an error, or one that it came from, says that a disk is full."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        if any(said in str(error) for said in _SAID):
            return True
        error = error.__cause__ or error.__context__
    return False


def require(wanted: Mapping[Path, int]) -> None:
    """Raises `NoRoom`, with the numbers, where a disk has less free than all folders on it want."""
    by_disk: dict[int, tuple[Path, int]] = {}
    for folder, count in wanted.items():
        place = _there(folder)
        disk = place.stat().st_dev
        by_disk[disk] = (place, by_disk.get(disk, (place, 0))[1] + count)
    for place, count in by_disk.values():
        free = shutil.disk_usage(place).free
        if free < count + SPARE_BYTES:
            raise NoRoom(
                f"this takes up to {gigabytes(count + SPARE_BYTES)} of disk, and {gigabytes(free)} are free: free some, or train "
                "with fewer checkpoints or a lower rank"
            )


def gigabytes(count: int) -> str:
    """As people read it."""
    return f"{count / 1e9:.1f} GB"


def remove(folder: Path, names: Iterable[str]) -> None:
    """Frees what lies under these names in a folder."""
    for name in names:
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _there(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there already."""
    return next(place for place in (folder.resolve(), *folder.resolve().parents) if place.exists())
