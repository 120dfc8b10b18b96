"""A migrated database, a bench with the scripted child, and a first order."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from storage.database import migrate
from storage.settings import StorageSettings
from tests.trainer.ordering import Scripted
from trainer.turn import Bench
from trainer.worker import opened

MakeBench = Callable[..., Awaitable[Bench]]


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, to be copied."""
    settings = StorageSettings(data_dir=tmp_path_factory.mktemp("migrated"), database_url=None)
    migrate(settings)
    return settings.data_dir / "lorasmith.db"


@pytest.fixture
def data_dir(tmp_path: Path, migrated_file: Path) -> Path:
    """The data folder of a test, database migrated."""
    folder = tmp_path / "data"
    folder.mkdir()
    shutil.copy(migrated_file, folder / "lorasmith.db")
    return folder


@pytest_asyncio.fixture
async def make_bench(data_dir: Path, tmp_path: Path) -> AsyncIterator[MakeBench]:
    """Benches of one installation; each has a child and an executor of its own."""
    async with AsyncExitStack() as stack:
        count = 0

        async def make(**settings: object) -> Bench:
            nonlocal count
            count += 1
            memory = tmp_path / "memory"
            memory.mkdir(exist_ok=True)
            given = {
                "work_dir": tmp_path / f"work-{count}",
                "watch_s": 0.05,
                "memory": memory,
                "device": "cpu",
                **settings,
            }
            scripted = Scripted(data_dir=data_dir, threads=1, **given)  # type: ignore[arg-type]
            bench = await stack.enter_async_context(opened(scripted, f"test:{count}", serves=False))
            stack.push_async_callback(bench.engine.close)
            stack.push_async_callback(bench.seat.clear)
            return bench

        yield make


@pytest_asyncio.fixture
async def bench(make_bench: MakeBench) -> Bench:
    """One bench with a well-behaved child."""
    return await make_bench()
