"""departures: the same one may come again at the same step, and both count."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

FIRST_KEY = "departures_order_id_step_kind_key"
"""What PostgreSQL called the unnamed constraint of 0001; SQLite knows it by its columns, which `NAMES` spells out."""
NAMES = {"uq": "%(table_name)s_%(column_0_N_name)s_key"}


def upgrade() -> None:
    """Apply this version."""
    with op.batch_alter_table("departures", naming_convention=NAMES) as batch_op:
        batch_op.add_column(sa.Column("ordinal", sa.Integer(), nullable=False, server_default="0"))
        batch_op.drop_constraint(FIRST_KEY, type_="unique")
        batch_op.create_unique_constraint(
            "departures_order_id_step_kind_ordinal_key", ["order_id", "step", "kind", "ordinal"]
        )


def downgrade() -> None:
    """Take this version back; of equal departures only the first stays."""
    op.execute(sa.text("DELETE FROM departures WHERE ordinal > 0"))
    with op.batch_alter_table("departures") as batch_op:
        batch_op.drop_constraint("departures_order_id_step_kind_ordinal_key", type_="unique")
        batch_op.create_unique_constraint(FIRST_KEY, ["order_id", "step", "kind"])
        batch_op.drop_column("ordinal")
