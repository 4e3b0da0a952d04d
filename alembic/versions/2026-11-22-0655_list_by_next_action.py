"""an index for the list by next action, which pulses ask as well: with ties by id, and nothing planned at its end"""

from collections.abc import Sequence

import sqlalchemy as sa

from alembic import op

revision: str = "0033"
down_revision: str | None = "0032"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_index("ix_ghost_targets_next", "ghost_targets", ["merchant_id", "next_action_at", "id"])
    op.drop_index("ix_ghost_targets_due", table_name="ghost_targets")


def downgrade() -> None:
    op.create_index(
        "ix_ghost_targets_due",
        "ghost_targets",
        ["merchant_id", "next_action_at"],
        postgresql_where=sa.text("next_action_at is not null"),
    )
    op.drop_index("ix_ghost_targets_next", table_name="ghost_targets")
