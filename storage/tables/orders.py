"""What members ask for: an order, its pictures, and the plan that was frozen at Start."""

from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from storage.tables.instants import instant, now


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
    consent_at: datetime | None = instant(default=None)
    created_at: datetime = instant(default_factory=now)
    started_at: datetime | None = instant(default=None)
    finished_at: datetime | None = instant(default=None)
    expires_at: datetime | None = instant(default=None)
    """When a draft goes; where Retry cannot help a failed order, when its pictures go."""
    cancel_by: str | None = None
    """Who asked to cancel: its owner's id, `moderator:<id>`, or `system` where nobody did (the owner left, say)."""
    cancel_reason: str = ""
    removed_at: datetime | None = instant(default=None)
    """When a moderator removed it with all its files: nothing of it is shown or handed over any more."""
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
    full_run: bool = Field(default=False, sa_column_kwargs={"server_default": sa.false()})
    """Whether its owner asked for every step of the plan, also where nothing better is to be expected of the rest."""
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
    """Key of the upright, stripped picture; a refused picture that can be brought back has one too."""
    findings_json: str = "[]"
    """What the dataset doctor found: `storage.domain.doctor.to_json`."""
    accepted: bool = False
    """Whether the owner said to use it as it is."""
    caption: str = ""
    """What the owner, a file or a captioner says of it; empty takes the plan's templates."""
    caption_from: str = ""
    """file | owner | captioner | tagger; empty where there is none."""


class PlanRow(SQLModel, table=True):
    """The frozen plan of an order."""

    __tablename__ = "plans"
    order_id: str = Field(primary_key=True, foreign_key="orders.id")
    plan_json: str
    made_at: datetime = instant(default_factory=now)
