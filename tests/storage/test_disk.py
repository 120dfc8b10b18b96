"""Room on a disk: planned before an order, told from other errors after, and what is kept of finished ones."""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from storage import disk, retention
from storage.domain import space
from storage.domain.errors import OrderFault, OrderRefused
from storage.domain.keeping import Keeping
from storage.settings import StorageSettings
from tests.builders import tiny_plan


class Usage(NamedTuple):
    """As `shutil.disk_usage` has it."""

    total: int
    used: int
    free: int


def with_free(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1 << 40, 0, count))


def caused(by: Exception) -> Exception:
    error = RuntimeError("a file could not be written")
    error.__cause__ = by
    return error


def test_a_full_disk_is_told_whatever_library_met_it() -> None:
    """The texts are those that safetensors 0.8, obstore 0.12 and SQLite gave on a disk of 64 kB."""
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert disk.is_full(full)
    assert disk.is_full(OSError(errno.EDQUOT, "quota"))
    assert disk.is_full(caused(full))
    for said in (
        "Error while serializing: I/O error: No space left on device (os error 28)",
        "Generic LocalFileSystem error: Unable to copy data to file: No space left on device (os error 28)",
        "(sqlite3.OperationalError) database or disk is full",
    ):
        assert disk.is_full(Exception(said))
    assert not disk.is_full(OSError(errno.EACCES, "denied"))
    assert not disk.is_full(None)
    assert not disk.is_full(ValueError("28"))


def test_folders_on_one_disk_need_room_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_free(monkeypatch, (1 << 30) + disk.SPARE_BYTES)
    disk.require({tmp_path / "not" / "there": 1 << 29, tmp_path: 1 << 29})
    with pytest.raises(disk.NoRoom, match=r"up to 1\.3 GB of disk, and 1\.3 GB are free"):
        disk.require({tmp_path / "work": 1 << 29, tmp_path: (1 << 29) + 1})


def test_what_an_order_takes_grows_with_rank_checkpoints_optimiser_and_pictures() -> None:
    plan = replace(tiny_plan(6, 4), base="sdxl", resolution=1024, targets="attention+ff", rank=16)
    assert space.file_bytes(plan) == pytest.approx(2_659_840 * 16 * 2, rel=0.01)
    for more in (
        replace(plan, rank=32),
        replace(plan, checkpoint_steps=(1, 2, 3, 4)),
        replace(plan, optimizer="prodigy"),
        replace(plan, ema_decay=0.9),
    ):
        assert space.working_bytes(more, 10) > space.working_bytes(plan, 10)
        assert space.kept_bytes(more, 10) > space.kept_bytes(plan, 10)
    assert space.working_bytes(plan, 40) > space.working_bytes(plan, 10)


def test_an_order_without_room_is_refused_before_it_is_queued(
    settings: StorageSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = tiny_plan()
    retention.refuse_without_room(settings, plan, 6)
    with_free(monkeypatch, disk.SPARE_BYTES)
    with pytest.raises(OrderRefused, match="are free") as refused:
        retention.refuse_without_room(settings, plan, 6)
    assert refused.value.fault is OrderFault.DISK_FULL


MEASURED = [(100, 0.2), (200, 0.9), (300, None), (400, 0.9), (500, 0.1)]


@pytest.mark.parametrize(
    ("best", "last", "kept"),
    [
        (None, None, {100, 200, 300, 400, 500}),
        (0, 0, set()),
        (1, None, {200}),
        (3, None, {200, 400, 100}),
        (None, 2, {400, 500}),
        (1, 1, {200, 500}),
        (9, 9, {100, 200, 300, 400, 500}),
    ],
)
def test_the_best_and_the_last_checkpoints_stay(best: int | None, last: int | None, kept: set[int]) -> None:
    assert Keeping(best=best, last=last).of(MEASURED) == kept
