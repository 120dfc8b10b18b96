"""What was said and handed over on Discord."""

from datetime import datetime

from sqlmodel import Field, SQLModel

from storage.tables.instants import instant, now


class Post(SQLModel, table=True):
    """A message that the bot made, found again by its mark."""

    __tablename__ = "posts"
    mark: str = Field(primary_key=True)
    """`storage.domain.orders.mark(order, what)`."""
    order_id: str = Field(foreign_key="orders.id", index=True)
    channel_id: str
    message_id: str
    posted_at: datetime = instant(default_factory=now)
    shown_json: str = ""
    """What the message last said, so that it is edited only when that changes."""
    edited_at: datetime | None = instant(default=None)


class Delivery(SQLModel, table=True):
    """A file that was handed over."""

    __tablename__ = "deliveries"
    id: str = Field(primary_key=True)
    """`<order>:<kind>:<step>`."""
    order_id: str = Field(foreign_key="orders.id", index=True)
    kind: str
    """final | taken ("Take this one")."""
    step: int
    files_json: str
    """Artifact keys by role: lora, sidecar, preview, strip, compact, page."""
    way: str
    """attach | download | compact."""
    delivered_at: datetime | None = instant(default=None)
