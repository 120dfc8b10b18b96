"""What a training leaves behind at each checkpoint."""

from datetime import datetime

from sqlmodel import Field, SQLModel

from storage.tables.instants import instant, now


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
    made_at: datetime = instant(default_factory=now)
