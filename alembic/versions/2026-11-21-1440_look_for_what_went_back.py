"""remember until when refunds and disputes were looked at, and find a ghost by the payment that recovered it"""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision: str = "0016"
down_revision: str | None = "0015"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("hunts", sa.Column("looked_until", postgresql.JSONB(), server_default="{}", nullable=False))
    op.create_index(
        "ix_ghost_targets_intent",
        "ghost_targets",
        ["merchant_id", "payment_intent_id"],
        postgresql_where=sa.text("payment_intent_id is not null"),
    )


def downgrade() -> None:
    op.drop_index("ix_ghost_targets_intent", table_name="ghost_targets")
    op.drop_column("hunts", "looked_until")
