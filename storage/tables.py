"""The rows. An order's truth is here, not in the engine's history.

Times are timezone-aware UTC. Ids that come from Discord are kept as text. Columns named `*_json` hold text written by the
frozen types of `storage.domain` (`Plan.to_json` ...), so that SQLite and PostgreSQL hold the same.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, Dialect, UniqueConstraint
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel


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


def _instant(**kw: Any) -> Any:  # noqa: ANN401  # as sqlmodel.Field itself
    return Field(sa_type=Instant, **kw)


class Community(SQLModel, table=True):
    """A Discord server that uses the bot (or `local` for orders without Discord)."""

    __tablename__ = "communities"
    id: str = Field(primary_key=True)
    name: str = ""
    weight: float = 1.0
    tag: float = 0.0
    """Virtual seconds served: `storage.domain.fairness`."""
    allowed_channels_json: str = "[]"
    """Channel ids where `/train` is taken; empty means everywhere."""
    consent_line: str = ""
    """What the owner of an order for a person must agree to; empty means the standard line."""
    removed_at: datetime | None = _instant(default=None)
    """When the bot was removed from the server."""


class Member(SQLModel, table=True):
    """A person in one community."""

    __tablename__ = "members"
    community_id: str = Field(primary_key=True, foreign_key="communities.id")
    id: str = Field(primary_key=True)
    tag: float = 0.0
    mention: bool = True
    """Whether the bot may mention this member on their own orders."""
    left_at: datetime | None = _instant(default=None)


class Order(SQLModel, table=True):
    """A member's request, from draft to delivery."""

    __tablename__ = "orders"
    id: str = Field(primary_key=True)
    interaction_id: str = Field(unique=True)
    """The interaction that made it: a repeated delivery finds this row instead of making another."""
    interaction_token: str = Field(default="", repr=False)
    """For replies within its 15 minutes only; emptied when the draft is answered. Never logged."""
    community_id: str = Field(foreign_key="communities.id", index=True)
    owner_id: str = Field(index=True)
    channel_id: str
    thread_id: str | None = None
    locale: str = "en-US"
    name: str
    """What the member calls it; cleaned."""
    subject_type: str
    class_word: str
    trigger: str
    base: str
    stage: str = Field(index=True)
    attempt: int = 0
    """Counts entries into the present stage: stage workflows are named `<order>:<stage>:<attempt>`."""
    seed: int
    consent_at: datetime | None = _instant(default=None)
    created_at: datetime = _instant(default_factory=now)
    started_at: datetime | None = _instant(default=None)
    finished_at: datetime | None = _instant(default=None)
    expires_at: datetime | None = _instant(default=None)
    """When a draft, or a failed order's kept pictures, go."""
    cancel_by: str | None = None
    """Who asked to cancel: the intent is written first, then acted on."""
    cancel_reason: str = ""
    fault: str | None = None
    fault_reason: str = ""
    chosen_step: int | None = None
    chosen_because: str | None = None
    choice_json: str | None = None
    scale_json: str | None = None
    """`ScaleChoice.to_json`."""
    delivery_way: str = "attach"
    """How the file will reach the member, as the plan card said: attach | download | compact."""
    max_file_bytes: int = 10 * 1024 * 1024
    """The upload limit that held for this order's server and member."""
    tidied: str = ""
    """What `storage.retention` has deleted: nothing, `some` or `all` that can go."""


class Picture(SQLModel, table=True):
    """One picture of an order, from link to kept file or refusal."""

    __tablename__ = "pictures"
    id: str = Field(primary_key=True)
    """`<order>-p<position>`."""
    order_id: str = Field(foreign_key="orders.id", index=True)
    position: int
    source_url: str
    """A CDN link that dies after a day; kept so that a restart can resume the download."""
    source_name: str
    source_bytes: int = 0
    state: str = "linked"
    """linked | kept | refused | gone (deleted with its file when it was no longer needed)."""
    fault: str | None = None
    """`PictureFault` where refused."""
    fault_detail: str = ""
    sha256: str = ""
    """Of the kept, stripped file."""
    dhash: str = ""
    """64-bit difference hash as 16 hex digits."""
    thumb: str = ""
    """16 x 16 RGB cells in base64: `storage.pictures.near` compares them."""
    width: int = 0
    height: int = 0
    artifact: str | None = None
    """Key of the upright, stripped picture."""


class PlanRow(SQLModel, table=True):
    """The frozen plan of an order."""

    __tablename__ = "plans"
    order_id: str = Field(primary_key=True, foreign_key="orders.id")
    plan_json: str
    made_at: datetime = _instant(default_factory=now)


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
    since: datetime = _instant(default_factory=now)
    estimate_s: float = 60.0
    turn: int = 0
    """How many turns were given; a turn that comes back under an old number is ignored."""
    executor_id: str | None = None
    turn_key: str | None = None
    """The turn workflow that runs it now: what is cancelled in the engine when the order is cancelled."""
    taken_at: datetime | None = _instant(default=None)
    charged_s: float = 0.0
    """GPU seconds charged in advance for the running turn; corrected when it is given back."""
    step: int = 0
    """Steps trained and safely stored."""
    failures: int = 0
    """Turns in a row that ended without progress."""


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
    started_at: datetime = _instant(default_factory=now)
    ended_at: datetime | None = _instant(default=None)
    gpu_s: float = 0.0
    outcome: str = "running"
    """running | more | done | failed | lost | cancelled: `storage.turns.Outcome`, or lost with its worker."""


class DepartureRow(SQLModel, table=True):
    """Where a run left its plan; appended only."""

    __tablename__ = "departures"
    __table_args__ = (UniqueConstraint("order_id", "step", "kind"),)
    id: int | None = Field(default=None, primary_key=True)
    order_id: str = Field(foreign_key="orders.id", index=True)
    step: int
    kind: str
    reason: str


class Checkpoint(SQLModel, table=True):
    """A stored checkpoint: its files are in the artifacts before this row is written."""

    __tablename__ = "checkpoints"
    order_id: str = Field(primary_key=True, foreign_key="orders.id")
    step: int = Field(primary_key=True)
    lora_artifact: str
    lora_sha256: str
    lora_bytes: int
    grid_artifact: str
    """The picture that is posted: rows are prompts, the first column is the base without the LoRA."""
    previews_json: str = "[]"
    """Artifact keys of single previews with their prompt and seed."""
    measurement_json: str
    votes: int = 0
    """People who voted for it, as last counted on the messages."""
    made_at: datetime = _instant(default_factory=now)


class Progress(SQLModel, table=True):
    """The newest word from the GPU about an order; overwritten."""

    __tablename__ = "progress"
    order_id: str = Field(primary_key=True, foreign_key="orders.id")
    stage: str = ""
    step: int = 0
    steps: int = 0
    loss_ratio: float | None = None
    seconds_left: float | None = None
    updated_at: datetime = _instant(default_factory=now)


class Ballot(SQLModel, table=True):
    """The vote on an order's checkpoints. It waits in this row for its instant."""

    __tablename__ = "ballots"
    order_id: str = Field(primary_key=True, foreign_key="orders.id")
    opened_at: datetime = _instant(default_factory=now)
    deadline_at: datetime = _instant()
    finish_by: str | None = None
    """Who closed it early."""
    closed_at: datetime | None = _instant(default=None)
    counted_at: datetime | None = _instant(default=None)


class Vote(SQLModel, table=True):
    """One person's vote for one checkpoint, as last seen on the messages."""

    __tablename__ = "votes"
    order_id: str = Field(primary_key=True, foreign_key="orders.id")
    step: int = Field(primary_key=True)
    user_id: str = Field(primary_key=True)


class Post(SQLModel, table=True):
    """A message that the bot made, found again by its mark."""

    __tablename__ = "posts"
    mark: str = Field(primary_key=True)
    """`storage.domain.orders.mark(order, what)`."""
    order_id: str = Field(foreign_key="orders.id", index=True)
    channel_id: str
    message_id: str
    posted_at: datetime = _instant(default_factory=now)
    shown_json: str = ""
    """What the message last said, so that it is edited only when that changes."""
    edited_at: datetime | None = _instant(default=None)


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
    delivered_at: datetime | None = _instant(default=None)


class Outcome(SQLModel, table=True):
    """What a closed ballot taught: kept for recipes that learn, without pictures and names."""

    __tablename__ = "outcomes"
    order_id: str = Field(primary_key=True, foreign_key="orders.id")
    base: str
    subject_type: str
    pictures: int
    recipe: str
    chosen_step: int
    measured_best: int | None = None
    votes_json: str = "{}"
    measurements_json: str = "{}"
    closed_at: datetime = _instant(default_factory=now)


class Lease(SQLModel, table=True):
    """Who is alive: the one bot and every worker. A lease that ran out is reaped by the others."""

    __tablename__ = "leases"
    name: str = Field(primary_key=True)
    """`bot`, or the worker's executor id."""
    holder: str
    kind: str
    """bot | worker."""
    expires_at: datetime = _instant()
    host: str = ""
    machine: str = ""
    """Equal for processes on one kernel, containers included: `storage.leases.machine`."""
    since: datetime = _instant(default_factory=now)
    detail_json: str = "{}"
    """For workers: bases and device."""


class Switch(SQLModel, table=True):
    """Settings of the whole installation that change at run time: `paused`, the fair queue's virtual time."""

    __tablename__ = "switches"
    name: str = Field(primary_key=True)
    value: str
