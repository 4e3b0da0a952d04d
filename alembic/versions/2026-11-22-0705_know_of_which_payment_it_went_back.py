"""know of which payment went back what: a dispute after a refund of one part takes nothing of the other payments"""

from collections.abc import Sequence

import sqlalchemy as sa

from alembic import op

revision: str = "0034"
down_revision: str | None = "0033"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("recoveries", sa.Column("payment_intent_id", sa.String(64)))


def downgrade() -> None:
    op.drop_column("recoveries", "payment_intent_id")
