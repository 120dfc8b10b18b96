"""outcomes: which checkpoint would have come next, where a training ended early."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply this version."""
    op.add_column("outcomes", sa.Column("next_step", sa.Integer(), nullable=True))


def downgrade() -> None:
    """Take this version back."""
    op.drop_column("outcomes", "next_step")
