"""What every test shares: no network hub, one thread a process, photographs where there are any."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_configure() -> None:
    """Nothing is collected while modules are imported: they stay."""
    gc.disable()


def pytest_collection_finish() -> None:
    """More than a million objects of torch and its kin: the child, which collects before every turn, need not look at them."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """The same of what the tests of a file have left."""
    if nextitem is None or nextitem.path != item.path:
        gc.collect()
        gc.freeze()


@pytest.fixture(scope="session")
def photos() -> Path:
    """The folder of real photographs, one sub-folder a subject; tests that need it are skipped in a clone without."""
    folder = Path(os.environ.get("LORASMITH_PHOTOS", Path(__file__).parents[2] / "shared" / "images"))
    if not folder.is_dir():
        pytest.skip("no photographs here: set LORASMITH_PHOTOS to a folder with one sub-folder a subject")
    return folder
