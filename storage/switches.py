"""Settings of the whole installation that change while it runs, one row each."""

from __future__ import annotations

from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, SQLModel, select

from storage.tables import Switch

PAUSED = "paused"
VIRTUAL_TIME = "virtual_time"


def insert_if_new(session: Session, row: type[SQLModel], **values: object) -> bool:
    """Insert unless a row with the same key is there; says whether it was new. Two processes at once: one is new."""
    table: Any = row.__table__  # type: ignore[attr-defined]  # SQLModel does not declare it
    dialect = session.get_bind().dialect.name
    statement: Any = sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)
    key = next(iter(table.primary_key.columns))
    return session.execute(statement.values(**values).on_conflict_do_nothing().returning(key)).first() is not None


def locked(session: Session, name: str, default: str) -> Switch:
    """The switch, made where missing, held against other transactions until this one ends."""
    insert_if_new(session, Switch, name=name, value=default)
    return session.exec(
        select(Switch).where(Switch.name == name).with_for_update().execution_options(populate_existing=True)
    ).one()


def is_paused(session: Session) -> bool:
    """Whether no new turn on the GPU is given."""
    row = session.get(Switch, PAUSED)
    return row is not None and row.value == "1"


def set_paused(session: Session, paused: bool) -> None:  # noqa: FBT001  # the value of the switch
    """Turn the switch. After a resume, `turns.ensure_turns` brings the waiting pieces back into play."""
    locked(session, PAUSED, "0").value = "1" if paused else "0"
