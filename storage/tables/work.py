"""Work on the GPU: pieces, the turns they were given, where runs left their plan, the newest word of progress."""

from datetime import datetime

from sqlalchemy import UniqueConstraint
from sqlmodel import Field, SQLModel

from storage.tables.instants import instant, now


class Piece(SQLModel, table=True):
    """A piece of GPU work: a training, or the scale sweep of a chosen checkpoint. Taken in turns."""

    __tablename__ = "pieces"
    id: str = Field(primary_key=True)
    """`<order>:train:<n>` or `<order>:sweep:<n>`."""
    order_id: str = Field(foreign_key="orders.id", index=True)
    kind: str
    """train | sweep."""
    community_id: str
    member_id: str
    base: str
    state: str = Field(default="waiting", index=True)
    """waiting | running | done | cancelled | failed."""
    since: datetime = instant(default_factory=now)
    estimate_s: float = 60.0
    turn: int = 0
    """How many turns were given; a turn that comes back under an old number is ignored."""
    executor_id: str | None = None
    turn_key: str | None = None
    """The turn workflow that runs it now: what is cancelled in the engine when the order is cancelled."""
    taken_at: datetime | None = instant(default=None)
    charged_s: float = 0.0
    """GPU seconds charged in advance for the running turn; corrected when it is given back."""
    step: int = 0
    """Steps trained and safely stored."""
    failures: int = 0
    """Turns in a row that ended without progress."""
    hold_until: datetime | None = instant(default=None)
    """It waits for its owner's answer until then, and nobody takes it."""


class Attempt(SQLModel, table=True):
    """One turn of a piece on one worker, with the fit it ran under and what it cost."""

    __tablename__ = "attempts"
    id: str = Field(primary_key=True)
    """`<piece>:<turn>`."""
    piece_id: str = Field(foreign_key="pieces.id", index=True)
    order_id: str = Field(foreign_key="orders.id", index=True)
    executor_id: str
    fit_json: str = "{}"
    versions_json: str = "{}"
    started_at: datetime = instant(default_factory=now)
    ended_at: datetime | None = instant(default=None)
    gpu_s: float = 0.0
    outcome: str = "running"
    """running | more | done | failed | lost | cancelled: `storage.turns.Outcome`, or lost with its worker."""


class DepartureRow(SQLModel, table=True):
    """Where a run left its plan; appended only."""

    __tablename__ = "departures"
    __table_args__ = (UniqueConstraint("order_id", "step", "kind", "ordinal"),)
    id: int | None = Field(default=None, primary_key=True)
    order_id: str = Field(foreign_key="orders.id", index=True)
    step: int
    kind: str
    ordinal: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    """How many of its kind the run had made at this step before: a rate may be halved twice on the way to the same step."""
    reason: str


class Progress(SQLModel, table=True):
    """The newest word from the GPU about an order; overwritten."""

    __tablename__ = "progress"
    order_id: str = Field(primary_key=True, foreign_key="orders.id")
    stage: str = ""
    step: int = 0
    steps: int = 0
    loss_ratio: float | None = None
    seconds_left: float | None = None
    updated_at: datetime = instant(default_factory=now)
