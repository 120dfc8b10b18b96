"""Instants in rows: aware, in UTC, on every database."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, Dialect
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field


def now() -> datetime:
    """The instant, aware."""
    return datetime.now(UTC)


class Instant(TypeDecorator[datetime]):
    """An aware UTC instant: SQLite forgets the zone, so it is put back on reading; a naive value is refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002  # SQLAlchemy passes it
        if value is not None and value.tzinfo is None:
            raise ValueError("a time without a zone")
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002  # SQLAlchemy passes it
        return value if value is None or value.tzinfo else value.replace(tzinfo=UTC)


def instant(**kw: Any) -> Any:  # noqa: ANN401  # as sqlmodel.Field itself
    """A column of instants; takes what `sqlmodel.Field` takes."""
    return Field(sa_type=Instant, **kw)
