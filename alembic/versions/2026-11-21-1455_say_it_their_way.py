"""say it their way: merchants' own words for messages, with every version of them"""

from collections.abc import Sequence

import sqlalchemy as sa

from alembic import op

revision: str = "0019"
down_revision: str | None = "0018"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

APPLICATION = "phantom_application"
MINE = "merchant_id = (select current_setting('app.merchant_id', true))"
KEY = ("merchant_id", "decline_group", "moment", "channel", "language", "version")


def words(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), server_default="", nullable=False)


def upgrade() -> None:
    op.create_table(
        "message_templates",
        sa.Column("merchant_id", sa.String(40), nullable=False),
        sa.Column("decline_group", sa.String(32), nullable=False),
        sa.Column("moment", sa.String(16), nullable=False),
        sa.Column("channel", sa.String(16), nullable=False),
        sa.Column("language", sa.String(8), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        words("subject"),
        words("heading"),
        words("body"),
        words("button"),
        sa.Column("retired", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("created_by", sa.String(40), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint(*KEY, name="pk_message_templates"),
    )
    op.execute("alter table message_templates enable row level security")
    op.execute("alter table message_templates force row level security")
    op.execute(f"grant select, insert, delete on message_templates to {APPLICATION}")
    op.execute(f"create policy tenant on message_templates to {APPLICATION} using ({MINE}) with check ({MINE})")


def downgrade() -> None:
    op.drop_table("message_templates")
