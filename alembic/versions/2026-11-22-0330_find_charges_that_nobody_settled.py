"""find charges that were begun and never settled without reading all of a merchant's"""

from collections.abc import Sequence

import sqlalchemy as sa

from alembic import op

revision: str = "0031"
down_revision: str | None = "0030"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_index(
        "ix_payment_attempts_unsettled",
        "payment_attempts",
        ["merchant_id", "attempted_at"],
        postgresql_where=sa.text("state in ('started', 'processing')"),
    )


def downgrade() -> None:
    op.drop_index("ix_payment_attempts_unsettled", table_name="payment_attempts")
