"""room for longer idempotency keys: a renewed card's charge names the event too"""

from collections.abc import Sequence

import sqlalchemy as sa

from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.alter_column("payment_attempts", "idempotency_key", type_=sa.String(200), existing_nullable=False)


def downgrade() -> None:
    op.alter_column("payment_attempts", "idempotency_key", type_=sa.String(80), existing_nullable=False)
