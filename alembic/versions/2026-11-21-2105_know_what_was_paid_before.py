"""know what was paid of an invoice before its ghost was found: a credit note for the rest brings nothing back"""

from collections.abc import Sequence

import sqlalchemy as sa

from alembic import op

revision: str = "0027"
down_revision: str | None = "0026"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    # What was found before this keeps zero: all that was ever paid of it counts, as it did.
    op.add_column("ghost_targets", sa.Column("paid_before_cents", sa.BigInteger(), server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("ghost_targets", "paid_before_cents")
