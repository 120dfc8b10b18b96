"""The vote on checkpoints."""

from datetime import datetime

from sqlmodel import Field, SQLModel

from storage.tables.instants import instant, now


class Ballot(SQLModel, table=True):
    """The vote on an order's checkpoints. It waits in this row for its instant."""

    __tablename__ = "ballots"
    order_id: str = Field(primary_key=True, foreign_key="orders.id")
    opened_at: datetime = instant(default_factory=now)
    deadline_at: datetime = instant()
    finish_by: str | None = None
    """Who closed it early."""
    closed_at: datetime | None = instant(default=None)
    counted_at: datetime | None = instant(default=None)


class Vote(SQLModel, table=True):
    """One person's vote for one checkpoint, as last seen on the messages."""

    __tablename__ = "votes"
    order_id: str = Field(primary_key=True, foreign_key="orders.id")
    step: int = Field(primary_key=True)
    user_id: str = Field(primary_key=True)
