"""pictures: findings of the dataset doctor, and captions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply this version."""
    op.add_column("pictures", sa.Column("findings_json", sa.String(), nullable=False, server_default="[]"))
    op.add_column("pictures", sa.Column("accepted", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("pictures", sa.Column("caption", sa.String(), nullable=False, server_default=""))
    op.add_column("pictures", sa.Column("caption_from", sa.String(), nullable=False, server_default=""))
