"""Warning signs that were seen in a training."""

from sqlmodel import Field, SQLModel

from storage.domain.signs import Sign, SignKind


class SignRow(SQLModel, table=True):
    """`storage.domain.signs.Sign`; each kind once an order, as it was first seen."""

    __tablename__ = "signs"
    order_id: str = Field(primary_key=True, foreign_key="orders.id")
    kind: str = Field(primary_key=True)
    step: int
    value: float

    def sign(self) -> Sign:
        """As the rest of the product knows it."""
        return Sign(kind=SignKind(self.kind), step=self.step, value=self.value)
