"""orders without locale: nothing ever read it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply this version, in place: a copy of the table would take the rows that point to it along when it is dropped."""
    op.drop_column("orders", "locale")


def downgrade() -> None:
    """Take this version back."""
    op.add_column("orders", sa.Column("locale", sa.String(), nullable=False, server_default="en-US"))
