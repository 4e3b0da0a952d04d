"""messages know their customer and their unsubscribe link"""

from collections.abc import Sequence

import sqlalchemy as sa
import sqlmodel

from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column(
        "messages",
        sa.Column("customer_id", sqlmodel.sql.sqltypes.AutoString(length=64), server_default="", nullable=False),
    )
    op.add_column("messages", sa.Column("unsubscribe_url", sa.Text(), server_default="", nullable=False))
    op.drop_index(op.f("ix_messages_due"), table_name="messages")
    op.create_index("ix_messages_customer", "messages", ["merchant_id", "customer_id", "intent_at"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_messages_customer", table_name="messages")
    op.create_index(op.f("ix_messages_due"), "messages", ["merchant_id", "state", "due_at"], unique=False)
    op.drop_column("messages", "unsubscribe_url")
    op.drop_column("messages", "customer_id")
