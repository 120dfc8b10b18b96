"""What the first look on the GPU found about an order's pictures, and what its owner said to it."""

from datetime import datetime

from sqlmodel import Field, SQLModel

from storage.tables.instants import instant, now


class Checkup(SQLModel, table=True):
    """One look at all pictures of an order, before its first step."""

    __tablename__ = "checkups"
    order_id: str = Field(primary_key=True, foreign_key="orders.id")
    pictures_json: str = "{}"
    """Findings by picture id: `storage.domain.doctor.to_json` of each."""
    whole_json: str = "[]"
    """Findings of the set."""
    trigger_like: str | None = None
    """The common word that the base takes the trigger for."""
    trigger_pieces: int = 0
    """Into how many pieces the base's tokenizer cuts the trigger, at least; 0 where nobody could say."""
    faces_json: str = "{}"
    """The largest face by picture id: left, top, right, bottom in shares of the picture. No crop cuts it."""
    made_at: datetime = instant(default_factory=now)
    answer_by: datetime | None = instant(default=None)
    """Until when training waits for the owner; None where there is nothing to wait for."""
    answer: str = ""
    """go | drop, as the owner pressed; empty without an answer."""
