"""What closed ballots taught: numbers alone. Names, words and pictures stay with the order, and the community with it."""

from datetime import datetime

from sqlmodel import Field, SQLModel

from storage.tables.instants import instant, now


class Outcome(SQLModel, table=True):
    """One closed ballot. Who wants it forgotten deletes it by its order and calls `storage.outcomes.refit`."""

    __tablename__ = "outcomes"
    order_id: str = Field(primary_key=True, foreign_key="orders.id")
    base: str
    subject_type: str
    pictures: int
    recipe: str
    """`Plan.recipe`: its version, and the revision of what was learned that made the plan."""
    steps: int
    learning_rate: float
    batch_size: int
    concepts: int = 0
    chosen_step: int
    chosen_because: str
    """`storage.domain.choice.Because`."""
    measured_best: int | None = None
    next_step: int | None = None
    """The plan's checkpoint that an early end left out; None where the training went to its end."""
    votes_json: str = "{}"
    """Votes by step."""
    measurements_json: str = "{}"
    """`Measurement` by step; null where it was not measured."""
    closed_at: datetime = instant(default_factory=now, index=True)


class Revision(SQLModel, table=True):
    """What was learned, from then until the next revision. The rows are the history; the last one is used."""

    __tablename__ = "learned"
    number: int = Field(primary_key=True)
    made_at: datetime = instant(default_factory=now)
    because: str
    """ballot | reset | again (refitted for another reason: thawed, forgotten, another version of the program)."""
    outcomes: int
    """From so many."""
    since: datetime | None = instant(default=None)
    """Outcomes closed before it do not count; None where nothing was ever reset."""
    values_json: str
    """`storage.domain.learned.Learned.to_json`."""
