"""The installation itself: who is alive, and what was switched."""

from datetime import datetime

from sqlmodel import Field, SQLModel

from storage.tables.instants import instant, now


class Lease(SQLModel, table=True):
    """Who is alive: the one bot and every worker. A lease that ran out is reaped by the others."""

    __tablename__ = "leases"
    name: str = Field(primary_key=True)
    """`bot`, or the worker's executor id."""
    holder: str
    kind: str
    """bot | worker."""
    expires_at: datetime = instant()
    host: str = ""
    machine: str = ""
    """Equal for processes on one kernel, containers included: `storage.leases.machine`."""
    since: datetime = instant(default_factory=now)
    detail_json: str = "{}"
    """For workers: bases and device."""


class Switch(SQLModel, table=True):
    """Settings of the whole installation that change at run time: `paused`, the fair queue's virtual time."""

    __tablename__ = "switches"
    name: str = Field(primary_key=True)
    value: str
