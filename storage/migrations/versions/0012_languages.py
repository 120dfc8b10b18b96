"""communities and members: the language that Discord names for a server, and those that were chosen with the bot."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

NEW = (("communities", "locale"), ("communities", "language"), ("members", "language"))


def upgrade() -> None:
    """Apply this version."""
    for table, name in NEW:
        op.add_column(table, sa.Column(name, sa.String(), nullable=False, server_default=""))


def downgrade() -> None:
    """Take this version back."""
    for table, name in NEW:
        op.drop_column(table, name)
