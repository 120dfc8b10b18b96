"""checkups: what was found on the GPU before the first step; pieces may wait for an answer."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply this version."""
    op.create_table(
        "checkups",
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("pictures_json", sa.String(), nullable=False),
        sa.Column("whole_json", sa.String(), nullable=False),
        sa.Column("trigger_like", sa.String(), nullable=True),
        sa.Column("trigger_pieces", sa.Integer(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answer_by", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answer", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"]),
        sa.PrimaryKeyConstraint("order_id"),
    )
    with op.batch_alter_table("pieces") as batch_op:
        batch_op.add_column(sa.Column("hold_until", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """Take this version back."""
    with op.batch_alter_table("pieces") as batch_op:
        batch_op.drop_column("hold_until")
    op.drop_table("checkups")
