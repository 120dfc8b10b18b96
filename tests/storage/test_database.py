"""The database contract, on SQLite and PostgreSQL: migrations, transactions, no lost updates."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from pydantic import ValidationError
from sqlalchemy.exc import OperationalError, StatementError
from sqlmodel import Session, SQLModel

from storage import orders, tables
from storage.database import Database, _alembic, migrate, require_current
from storage.domain.errors import NewerDatabase, NotMigrated, SetupError
from storage.settings import StorageSettings
from storage.switches import insert_if_new, is_paused, locked, set_paused
from tests.storage.making import draft


def test_the_migrations_make_exactly_the_tables_of_the_rows(database: Database) -> None:
    with database.engine.begin() as connection:
        context = MigrationContext.configure(
            connection, opts={"include_name": lambda name, kind, _: kind != "table" or name in SQLModel.metadata.tables}
        )
        assert compare_metadata(context, SQLModel.metadata) == []
        names = sa.inspect(connection).get_table_names()
    assert set(SQLModel.metadata.tables) <= set(names)
    assert tables.Order.__tablename__ in names


def test_a_migrated_database_is_current_and_migrating_again_changes_nothing(
    settings: StorageSettings, database: Database
) -> None:
    migrate(settings)
    require_current(database)


def test_an_empty_database_says_what_to_do(tmp_path: Path) -> None:
    empty = Database(StorageSettings(data_dir=tmp_path))
    with pytest.raises(NotMigrated, match="lorasmith migrate"):
        require_current(empty)
    empty.close()


def test_a_database_of_a_newer_program_is_refused_and_not_touched(
    settings: StorageSettings, database: Database
) -> None:
    with database.session() as session:
        session.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(NewerDatabase):
        require_current(database)
    with pytest.raises(NewerDatabase):
        migrate(settings)


def test_orders_keep_their_pictures_when_a_column_goes(settings: StorageSettings, database: Database) -> None:
    with database.session() as session:
        id_ = draft(session).id
    with database.engine.begin() as connection:
        command.downgrade(_alembic(connection), "0008")
        assert "locale" in {column["name"] for column in sa.inspect(connection).get_columns("orders")}
    migrate(settings)
    require_current(database)
    with database.session() as session:
        assert [p.state for p in orders.pictures_of(session, id_)] == ["kept"] * 5


def test_two_processes_may_migrate_at_once(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from storage.database import migrate; "
        "from storage.settings import StorageSettings; migrate(StorageSettings(data_dir=Path(sys.argv[1])))"
    )
    both = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path)]) for _ in range(2)]
    assert [p.wait(60) for p in both] == [0, 0]
    database = Database(StorageSettings(data_dir=tmp_path))
    require_current(database)
    with database.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    database.close()


async def test_an_error_takes_everything_back(database: Database) -> None:
    def half(session: Session) -> None:
        session.add(tables.Community(id="A"))
        session.flush()
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError):
        await database.transact(half)
    with database.session() as session:
        assert session.get(tables.Community, "A") is None


async def test_no_update_is_lost_between_reading_and_writing(database: Database) -> None:
    def add_one(session: Session) -> None:
        switch = locked(session, "counter", "0")
        switch.value = str(int(switch.value) + 1)

    await asyncio.gather(*(database.transact(add_one) for _ in range(60)))
    with database.session() as session:
        assert locked(session, "counter", "0").value == "60"


async def test_a_row_is_new_for_one_of_many(database: Database) -> None:
    def mine(session: Session, n: int) -> bool:
        return insert_if_new(session, tables.Switch, name="one", value=str(n))

    assert sum(await asyncio.gather(*(database.transact(mine, n) for n in range(8)))) == 1


async def test_a_transaction_that_postgres_broke_off_runs_again(database: Database) -> None:
    """Two transactions take two rows in opposite order; PostgreSQL breaks one off, SQLite lets them wait in line."""
    for name in "ab":
        await database.transact(locked, name, "0")
    first_row_taken = asyncio.Barrier(2)
    loop = asyncio.get_running_loop()

    def cross(session: Session, one: str, two: str) -> None:
        locked(session, one, "0").value = one
        session.flush()
        if database.engine.dialect.name != "sqlite" and (one, two) not in seen:
            seen.add((one, two))
            asyncio.run_coroutine_threadsafe(_wait(first_row_taken), loop).result(10)
        locked(session, two, "0").value = one

    seen: set[tuple[str, str]] = set()
    await asyncio.gather(database.transact(cross, "a", "b"), database.transact(cross, "b", "a"))
    with database.session() as session:
        assert locked(session, "a", "").value == locked(session, "b", "").value


async def _wait(barrier: asyncio.Barrier) -> None:
    await barrier.wait()


def test_instants_come_back_aware_and_equal_and_naive_ones_are_refused(database: Database) -> None:
    elsewhere = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=timezone(timedelta(hours=9)))
    with database.session() as session:
        session.add(tables.Community(id="A", removed_at=elsewhere))
    with database.session() as session:
        found = session.get_one(tables.Community, "A").removed_at
    assert found == elsewhere
    assert found is not None
    assert found.utcoffset() == timedelta(0)
    with pytest.raises(StatementError, match="zone"), database.session() as session:
        session.add(tables.Community(id="B", removed_at=datetime(2026, 1, 2)))  # noqa: DTZ001  # that is the point


def test_foreign_keys_hold(database: Database) -> None:
    with pytest.raises(sa.exc.IntegrityError), database.session() as session:
        session.add(tables.PlanRow(order_id="nobody", plan_json="{}"))


def test_the_pause_switch_is_off_until_it_is_turned(database: Database) -> None:
    with database.session() as session:
        assert not is_paused(session)
        set_paused(session, True)
    with database.session() as session:
        assert is_paused(session)
        set_paused(session, False)
        session.flush()
        assert not is_paused(session)


def test_settings_know_two_databases_and_keep_the_password(tmp_path: Path) -> None:
    one = StorageSettings(data_dir=tmp_path, database_url="postgresql+psycopg://u:p%40ss@h/d")
    assert one.database == "postgresql://u:p%40ss@h/d"
    assert not one.on_sqlite
    assert StorageSettings(data_dir=tmp_path).database == f"sqlite:///{tmp_path}/lorasmith.db"
    with pytest.raises(ValidationError, match="SQLite or PostgreSQL"):
        StorageSettings(data_dir=tmp_path, database_url="mysql://h/d")


def test_an_order_does_not_print_its_interaction_token() -> None:
    order = tables.Order(
        id="x",
        interaction_id="1",
        interaction_token="very-secret",
        community_id="A",
        owner_id="o",
        channel_id="c",
        name="n",
        subject_type="object",
        class_word="w",
        trigger="t",
        base="b",
        stage="draft",
        seed=1,
        created_at=datetime.now(UTC),
    )
    assert "very-secret" not in repr(order)


@pytest.mark.parametrize("url", [None, "postgresql://bot@127.0.0.1/lora"])
def test_what_a_statement_was_given_is_in_no_error(tmp_path: Path, url: str | None) -> None:
    database = Database(StorageSettings(data_dir=tmp_path, database_url=url))
    assert database.engine.hide_parameters
    if url is None:
        with pytest.raises(OperationalError) as failed, database.session() as session:
            session.execute(sa.text("SELECT :token FROM nowhere"), {"token": "a-secret-token"})
        assert "a-secret-token" not in str(failed.value)
    database.close()


@pytest.mark.parametrize(
    "given",
    [
        {"database_url": "postgres//bot:secret@host/lora"},
        {"database_url": "mysql://bot:secret@host/lora"},
        {"artifacts_url": "s3:/bucket/lora"},
        {"artifacts_url": "gs://bucket"},
        {"artifacts_url": "s3://"},
    ],
)
def test_a_mistyped_address_is_refused_by_name_and_its_password_is_not_said(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError) as wrong:
        StorageSettings(**given)
    said = [p["msg"] for p in wrong.value.errors(include_input=False, include_url=False)]
    assert len(said) == 1
    assert "secret" not in said[0]


def test_a_folder_of_artifacts_may_be_called_anything(tmp_path: Path) -> None:
    assert StorageSettings(artifacts_url=str(tmp_path / "a:b")).artifacts_folder == tmp_path / "a:b"


def test_a_database_that_does_not_answer_is_said_with_what_to_look_at(tmp_path: Path) -> None:
    with socket.socket() as closed:  # bound and not listening: whoever connects is refused
        closed.bind(("127.0.0.1", 0))
        url = f"postgresql://bot:secret@127.0.0.1:{closed.getsockname()[1]}/lora"
        with pytest.raises(SetupError, match="LORASMITH_DATABASE_URL") as wrong:
            migrate(StorageSettings(data_dir=tmp_path, database_url=url))
    assert "secret" not in str(wrong.value)
