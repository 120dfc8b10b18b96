"""outcomes: what the plan was; learned: what votes taught, revision by revision."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

NEW = ("steps", "learning_rate", "batch_size", "concepts", "chosen_because")


def upgrade() -> None:
    """Apply this version. Outcomes of before do not say what their plan was: they teach taste, and no dose."""
    op.add_column("outcomes", sa.Column("steps", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("outcomes", sa.Column("learning_rate", sa.Float(), nullable=False, server_default="0"))
    op.add_column("outcomes", sa.Column("batch_size", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("outcomes", sa.Column("concepts", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("outcomes", sa.Column("chosen_because", sa.String(), nullable=False, server_default=""))
    op.create_index("ix_outcomes_closed_at", "outcomes", ["closed_at"])
    op.create_table(
        "learned",
        sa.Column("number", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("because", sa.String(), nullable=False),
        sa.Column("outcomes", sa.Integer(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("values_json", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )


def downgrade() -> None:
    """Take this version back."""
    op.drop_table("learned")
    op.drop_index("ix_outcomes_closed_at", "outcomes")
    with op.batch_alter_table("outcomes") as batch:
        for name in NEW:
            batch.drop_column(name)
