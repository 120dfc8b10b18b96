"""What was put on a model hub."""

from datetime import datetime

from sqlmodel import Field, SQLModel

from storage.tables.instants import instant, now


class Share(SQLModel, table=True):
    """A delivered order that is to be, or was, put on the operator's hub: one row an order, so never twice."""

    __tablename__ = "shares"
    order_id: str = Field(primary_key=True, foreign_key="orders.id")
    repository: str
    """`namespace/name`."""
    url: str = ""
    """Where it is; empty until it is there."""
    told: bool = False
    """Whether the card shows the link."""
    tries: int = 0
    """That failed, in a row."""
    reason: str = ""
    """Why the last one did; for the operator."""
    next_at: datetime = instant(default_factory=now)
    """When it is tried next."""
    gone: bool = False
    """Taken from the hub again, because the order was removed."""
