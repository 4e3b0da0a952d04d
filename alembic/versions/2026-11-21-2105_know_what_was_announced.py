"""coming charges know what their subscription says beside what Stripe announced, and whether that is exact"""

from collections.abc import Sequence

import sqlalchemy as sa

from alembic import op

revision: str = "0026"
down_revision: str | None = "0025"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("ghost_targets", sa.Column("priced_cents", sa.BigInteger(), nullable=True))
    op.add_column("ghost_targets", sa.Column("amount_is_about", sa.Boolean(), server_default="false", nullable=False))


def downgrade() -> None:
    op.drop_column("ghost_targets", "amount_is_about")
    op.drop_column("ghost_targets", "priced_cents")
