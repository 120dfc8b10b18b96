"""checkups: where faces are, so that no crop cuts one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply this version."""
    op.add_column("checkups", sa.Column("faces_json", sa.String(), nullable=False, server_default="{}"))


def downgrade() -> None:
    """Take this version back."""
    op.drop_column("checkups", "faces_json")
