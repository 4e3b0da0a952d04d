"""know which payment brought what, where an invoice was paid in parts: a refund takes its own payment's part alone"""

from collections.abc import Sequence

import sqlalchemy as sa

from alembic import op

revision: str = "0032"
down_revision: str | None = "0031"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

APPLICATION = "phantom_application"
MINE = "merchant_id = (select current_setting('app.merchant_id', true))"


def upgrade() -> None:
    op.create_table(
        "payment_parts",
        sa.Column("merchant_id", sa.String(40), nullable=False),
        sa.Column("payment_intent_id", sa.String(64), nullable=False),
        sa.Column("ghost_id", sa.String(40), nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "payment_intent_id", "ghost_id", name="pk_payment_parts"),
    )
    op.create_index("ix_payment_parts_ghost", "payment_parts", ["merchant_id", "ghost_id"])
    op.execute("alter table payment_parts enable row level security")
    op.execute("alter table payment_parts force row level security")
    op.execute(f"grant select, insert, delete on payment_parts to {APPLICATION}")
    op.execute(f"create policy tenant on payment_parts to {APPLICATION} using ({MINE}) with check ({MINE})")


def downgrade() -> None:
    op.drop_table("payment_parts")
