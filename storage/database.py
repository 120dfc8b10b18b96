"""The database: one file of SQLite, or PostgreSQL, by the same code.

SQLite runs in WAL with `BEGIN IMMEDIATE`: with the driver's own deferred transactions, three processes that read and then
write lose updates or meet "database is locked" at once, whatever the timeout. PostgreSQL runs in READ COMMITTED, and whoever
reads in order to write locks the row first (`with_for_update`, which SQLite does not need and does not get).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry
from sqlmodel import Session

from storage import system
from storage.domain.errors import NewerDatabase, NotMigrated, SetupError
from storage.settings import StorageSettings

P = ParamSpec("P")
T = TypeVar("T")

BUSY_S = 30
"""How long a writer waits for another one."""
THREADS = 8
"""Transactions at a time from one process; each needs a connection."""
AGAIN = 5
"""How often a transaction that PostgreSQL broke off (deadlock, serialisation) is tried in all."""
_BROKEN_OFF = ("40001", "40P01")
_MIGRATION_LOCK = 5_218_441


class Database:
    """Sessions on the database of this installation. Close it when done."""

    def __init__(self, settings: StorageSettings) -> None:
        self.settings = settings
        self.engine = _engine(settings)
        self._threads = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="database")

    @contextlib.contextmanager
    def session(self) -> Iterator[Session]:
        """One transaction: commits at the end, rolls back on any error. What was read stays usable afterwards."""
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    async def transact(self, fn: Callable[Concatenate[Session, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `fn(session, ...)` in a thread, in one transaction.

        `fn` may run again in a new transaction where PostgreSQL broke one off, so all its effects belong to the session.
        """
        call = partial(copy_context().run, self._run, fn, *args, **kwargs)  # the language in force goes along
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def _run(self, fn: Callable[Concatenate[Session, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        for _ in range(AGAIN - 1):
            try:
                with self.session() as session:
                    return fn(session, *args, **kwargs)
            except OperationalError as error:
                if getattr(error.orig, "sqlstate", None) not in _BROKEN_OFF:
                    raise
        with self.session() as session:
            return fn(session, *args, **kwargs)

    def close(self) -> None:
        """Let go of all connections and threads."""
        self._threads.shutdown(wait=True)
        self.engine.dispose()


def _engine(settings: StorageSettings) -> sa.Engine:
    if settings.on_sqlite:
        return _sqlite(settings.database)
    url = sa.make_url(settings.database).set(drivername="postgresql+psycopg")
    # Errors of a statement would say its values: tokens, links, what people typed.
    return sa.create_engine(url, pool_size=THREADS, max_overflow=2, pool_pre_ping=True, hide_parameters=True)


def _sqlite(url: str) -> sa.Engine:
    path = sa.make_url(url).database
    if path:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(
        url, pool_size=THREADS, max_overflow=2, connect_args={"timeout": BUSY_S}, hide_parameters=True
    )

    @sa.event.listens_for(engine, "connect")
    def _connect(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # the driver must not begin by itself: we do, below
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute(
            "PRAGMA synchronous=FULL"
        )  # a row says that a file is there: it must not be lost after it was said
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def migrate(settings: StorageSettings) -> None:
    """Bring the database to this program's version, under a lock. Raises `NewerDatabase`, or `SetupError` where it is not there.

    The engine's own tables come first, so that an order can be enqueued before any process of the engine was launched.
    """
    from storage.engine import migrate_engine  # noqa: PLC0415  # the engine is heavy, and not every user of the database migrates

    database = Database(settings)
    try:
        _reach(database)
        with _lock(database):
            if settings.on_sqlite:
                _set_wal(database)
            require_not_newer(database)
            migrate_engine(settings)
            with database.engine.begin() as connection:
                command.upgrade(_alembic(connection), "head")
    finally:
        database.close()


def require_current(database: Database) -> None:
    """Raise `NotMigrated` or `NewerDatabase` unless the database is exactly at this program's version.

    Raises `SetupError` where it cannot be reached at all.
    """
    _reach(database)
    require_not_newer(database)
    if _heads(database) != set(ScriptDirectory.from_config(_alembic()).get_heads()):
        raise NotMigrated


def _reach(database: Database) -> None:
    """Raise `SetupError`, saying what to look at, where the database cannot be opened."""
    try:
        with database.engine.connect() as connection:
            connection.execute(sa.select(1))
    except DBAPIError as error:
        where = database.engine.url.render_as_string(hide_password=True)
        said = (str(error.orig).strip().splitlines() or ["no reason given"])[0]
        raise SetupError(
            f"The database {where} cannot be opened: {said}. Is it running, and is LORASMITH_DATABASE_URL right?"
        ) from error


def require_not_newer(database: Database) -> None:
    """Raise `NewerDatabase` where a newer program has made the database."""
    known = {script.revision for script in ScriptDirectory.from_config(_alembic()).walk_revisions()}
    if not _heads(database) <= known:
        raise NewerDatabase


def _heads(database: Database) -> set[str]:
    with database.engine.begin() as connection:
        return set(MigrationContext.configure(connection).get_current_heads())


def _alembic(connection: sa.Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _set_wal(database: Database) -> None:
    """WAL is a property of the file: set once, outside a transaction."""
    raw = database.engine.raw_connection()
    try:
        raw.cursor().execute("PRAGMA journal_mode=WAL")
    finally:
        raw.close()


@contextlib.contextmanager
def _lock(database: Database) -> Iterator[None]:
    """Only one process migrates at a time."""
    if database.settings.on_sqlite:
        path = Path(str(database.engine.url.database) + ".migrating")
        with path.open("w") as file:
            system.lock(file, wait=True)
            yield
        return
    # Asked for again and again, and in no transaction: the engine builds indexes CONCURRENTLY, which waits for every open
    # transaction, and one that waits for this lock would be open.
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while not connection.scalar(sa.select(sa.func.pg_try_advisory_lock(_MIGRATION_LOCK))):
            time.sleep(0.1)
        try:
            yield
        finally:
            connection.execute(sa.select(sa.func.pg_advisory_unlock(_MIGRATION_LOCK)))
