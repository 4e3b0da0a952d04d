"""add up what came back by mechanism, from an index alone"""

from collections.abc import Sequence

from alembic import op

revision: str = "0024"
down_revision: str | None = "0023"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_index(
        "ix_recoveries_merit",
        "recoveries",
        ["merchant_id", "currency", "occurred_at"],
        postgresql_include=["kind", "mechanism", "amount_cents"],
    )


def downgrade() -> None:
    op.drop_index("ix_recoveries_merit", table_name="recoveries")
