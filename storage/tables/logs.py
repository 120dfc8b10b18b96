"""The log of a training, entry by entry."""

from sqlmodel import Field, SQLModel

from storage.domain.training_log import Entry


class LogEntry(SQLModel, table=True):
    """`storage.domain.training_log.Entry`; what is done again after a resume overwrites, so nothing is there twice."""

    __tablename__ = "training_log"
    order_id: str = Field(primary_key=True, foreign_key="orders.id")
    step: int = Field(primary_key=True)
    loss: float
    loss_ratio: float
    learning_rate: float
    steps_per_s: float
    memory_mib: int

    def entry(self) -> Entry:
        """As the rest of the product knows it."""
        return Entry(**self.model_dump(exclude={"order_id"}))
