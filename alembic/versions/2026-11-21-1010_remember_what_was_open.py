"""remember what was open when a ghost was found: part payments later must not shrink what came back"""

from collections.abc import Sequence

import sqlalchemy as sa

from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("ghost_targets", sa.Column("found_cents", sa.BigInteger(), server_default="0", nullable=False))
    # The owner of the schema sees no rows behind forced row-level security; a superuser does. Ghosts found before
    # this migration and not seen by it keep zero, which `settle` reads as "what is open now".
    op.execute("update ghost_targets set found_cents = amount_cents")


def downgrade() -> None:
    op.drop_column("ghost_targets", "found_cents")
