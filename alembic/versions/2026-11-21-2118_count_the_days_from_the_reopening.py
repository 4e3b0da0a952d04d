"""count a ghost's days from when it was owed again, if it had ended before"""

from collections.abc import Sequence

import sqlalchemy as sa

from alembic import op

revision: str = "0028"
down_revision: str | None = "0027"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    # What was reopened before this is known from its events, and its days are counted as they were.
    op.add_column("ghost_targets", sa.Column("reopened_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("ghost_targets", "reopened_at")
