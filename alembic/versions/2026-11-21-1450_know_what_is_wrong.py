"""know what is wrong: what could not be read, which webhooks were seen, what Stripe refused, how mails fared"""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from alembic import op

revision: str = "0018"
down_revision: str | None = "0017"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

APPLICATION, PLATFORM = "phantom_application", "phantom_platform"
MINE = "merchant_id = (select current_setting('app.merchant_id', true))"
WENT_OUT = "state in ('sent', 'delivered', 'bounced', 'complained')"


def moment(name: str) -> sa.Column[sa.DateTime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False)


def number() -> sa.Column[sa.Integer]:
    return sa.Column("number", sa.Integer(), server_default="0", nullable=False)


def upgrade() -> None:
    op.add_column("merchants", sa.Column("stripe_refusals", JSONB(), server_default="{}", nullable=False))
    op.add_column("merchants", sa.Column("stripe_mails", sa.String(8), server_default="", nullable=False))
    op.create_index(
        "ix_messages_went_out",
        "messages",
        ["merchant_id", "channel", sa.text("sent_at desc")],
        postgresql_include=["state"],
        postgresql_where=sa.text(WENT_OUT),
    )
    op.create_table(
        "unreadable_objects",
        sa.Column("merchant_id", sa.String(40), nullable=False),
        sa.Column("via", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(48), nullable=False),
        sa.Column("shape", sa.String(16), nullable=False),
        sa.Column("hunt_id", sa.String(40), nullable=False),
        number(),
        sa.Column("examples", JSONB(), server_default="{}", nullable=False),
        moment("first_at"),
        moment("last_at"),
        sa.PrimaryKeyConstraint("merchant_id", "via", "reason", "shape", name="pk_unreadable_objects"),
    )
    op.create_table(
        "webhook_sightings",
        sa.Column("merchant_id", sa.String(40), nullable=False),
        sa.Column("type", sa.String(120), nullable=False),
        moment("last_at"),
        sa.PrimaryKeyConstraint("merchant_id", "type", name="pk_webhook_sightings"),
    )
    op.create_table(
        "intake_outcomes",
        sa.Column("endpoint", sa.String(16), nullable=False),
        sa.Column("outcome", sa.String(24), nullable=False),
        number(),
        moment("first_at"),
        moment("last_at"),
        sa.PrimaryKeyConstraint("endpoint", "outcome", name="pk_intake_outcomes"),
    )
    _wall_off()


def _wall_off() -> None:
    for table in ("unreadable_objects", "webhook_sightings", "intake_outcomes"):
        op.execute(f"alter table {table} enable row level security")
        op.execute(f"alter table {table} force row level security")
    for table in ("unreadable_objects", "webhook_sightings"):
        rights = "select" if table == "webhook_sightings" else "select, insert, update, delete"
        op.execute(f"grant {rights} on {table} to {APPLICATION}")
        op.execute(f"create policy tenant on {table} to {APPLICATION} using ({MINE}) with check ({MINE})")
    for table in ("webhook_sightings", "intake_outcomes"):
        op.execute(f"grant select, insert, update, delete on {table} to {PLATFORM}")
        op.execute(f"create policy platform on {table} to {PLATFORM} using (true) with check (true)")


def downgrade() -> None:
    for table in ("intake_outcomes", "webhook_sightings", "unreadable_objects"):
        op.drop_table(table)
    op.drop_index("ix_messages_went_out", table_name="messages")
    op.drop_column("merchants", "stripe_mails")
    op.drop_column("merchants", "stripe_refusals")
