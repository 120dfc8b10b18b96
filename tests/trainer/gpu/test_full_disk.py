"""A disk that fills up wherever the child writes: the order ends with that name, and nothing half-written stays."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from safetensors import SafetensorError

from storage.disk import is_full
from tests.builders import tiny_plan
from trainer.events import DISK_FULL, Checkpointed, Failed
from trainer.gpu import latents, state, words

Job = Callable[..., Path]
SERIALISING = "Error while serializing: I/O error: No space left on device (os error 28)"


def half_written(_tensors: object, file: Path, *_: object, **__: object) -> None:
    """As safetensors does it: the beginning is on the disk when there is no more room."""
    Path(file).write_bytes(b"\x08")
    raise SafetensorError(SERIALISING)


def no_room(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


PLACES: list[tuple[object, str, Any]] = [
    (words, "save_file", half_written),
    (latents, "save_file", half_written),
    (state, "save_file", half_written),
    (os, "fsync", no_room),
    (Image.Image, "save", no_room),
]


@pytest.mark.parametrize("place", PLACES, ids=["words", "latents", "state", "fsync", "pictures"])
def test_a_full_disk_is_named_wherever_it_is_met_and_the_same_order_can_be_done_once_there_is_room(
    place: tuple[object, str, Any], desk: Any, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = job(plan=tiny_plan(2, 1), pictures=2)
    with monkeypatch.context() as full:
        full.setattr(*place)  # type: ignore[arg-type]
        failed = desk.train(folder, 1)[-1]
    assert isinstance(failed, Failed)
    assert (failed.fault, failed.reason, failed.retry) == ("machine", DISK_FULL, False)
    assert not list(folder.rglob("*.part")), "what was half-written is freed"
    assert any(isinstance(event, Checkpointed) for event in desk.train(folder, 1))


def test_what_safetensors_says_is_understood() -> None:
    assert is_full(SafetensorError(SERIALISING))
