"""orders: whether the owner asked for every step of the plan."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply this version."""
    op.add_column("orders", sa.Column("full_run", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    """Take this version back."""
    op.drop_column("orders", "full_run")
