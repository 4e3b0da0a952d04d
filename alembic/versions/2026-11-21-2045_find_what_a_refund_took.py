"""find what a refund took by the refund's id, for when it fails"""

from collections.abc import Sequence

import sqlalchemy as sa

from alembic import op

revision: str = "0025"
down_revision: str | None = "0024"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_index(
        "ix_recoveries_taken",
        "recoveries",
        ["merchant_id", "source_id"],
        postgresql_where=sa.text("kind = 'reversed'"),
    )


def downgrade() -> None:
    op.drop_index("ix_recoveries_taken", table_name="recoveries")
