"""merchants send themselves: own senders and their webhook addresses, consents, API keys"""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from alembic import op

revision: str = "0014"
down_revision: str | None = "0013"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

APPLICATION, PLATFORM = "phantom_application", "phantom_platform"
MINE = "merchant_id = (select current_setting('app.merchant_id', true))"
APPEND_ONLY = ("consents",)
TENANT = ("merchant_senders", *APPEND_ONLY)
SHARED = ("sender_addresses", "texted_numbers", "api_keys")


def text(name: str, length: int | None = None) -> sa.Column[str]:
    return sa.Column(name, sa.String(length) if length else sa.Text(), nullable=False, server_default="")


def moment(name: str, *, nullable: bool = False) -> sa.Column[sa.DateTime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    op.add_column("messages", text("sender_key", 16))
    op.create_table(
        "merchant_senders",
        sa.Column("merchant_id", sa.String(40), nullable=False),
        sa.Column("channel", sa.String(16), nullable=False),
        sa.Column("provider", sa.String(16), nullable=False),
        sa.Column("account", sa.String(64), nullable=False),
        sa.Column("address", sa.String(320), nullable=False),
        sa.Column("key_hint", sa.String(8), nullable=False),
        sa.Column("key_print", sa.String(16), nullable=False),
        sa.Column("webhook_token", sa.String(32), nullable=False),
        sa.Column("has_webhook_secret", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        text("paused_reason"),
        moment("paused_at", nullable=True),
        moment("created_at"),
        moment("updated_at"),
        sa.PrimaryKeyConstraint("merchant_id", "channel", name="pk_merchant_senders"),
    )
    op.create_table(
        "sender_addresses",
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("merchant_id", sa.String(40), nullable=False),
        sa.Column("channel", sa.String(32), nullable=False),
        moment("created_at"),
        sa.PrimaryKeyConstraint("token_hash", name="pk_sender_addresses"),
    )
    op.create_index("ix_sender_addresses_merchant_id", "sender_addresses", ["merchant_id"])
    op.create_table(
        "texted_numbers",
        sa.Column("number_hash", sa.String(64), nullable=False),
        sa.Column("merchant_id", sa.String(40), nullable=False),
        moment("created_at"),
        sa.PrimaryKeyConstraint("number_hash", "merchant_id", name="pk_texted_numbers"),
    )
    op.create_table(
        "consents",
        sa.Column("merchant_id", sa.String(40), nullable=False),
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("customer_id", sa.String(64), nullable=False),
        sa.Column("channel", sa.String(32), nullable=False),
        sa.Column("address_hash", sa.String(64), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        moment("happened_at"),
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("text_version", sa.String(64), nullable=False),
        sa.Column("recorded_by", sa.String(80), nullable=False),
        moment("recorded_at"),
        sa.PrimaryKeyConstraint("merchant_id", "id", name="pk_consents"),
        sa.UniqueConstraint("merchant_id", "channel", "address_hash", "happened_at", "state", name="uq_consents_fact"),
    )
    op.create_index("ix_consents_customer", "consents", ["merchant_id", "customer_id", sa.text("id desc")])
    op.create_table(
        "api_keys",
        sa.Column("key_hash", sa.String(64), nullable=False),
        sa.Column("merchant_id", sa.String(40), nullable=False),
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("hint", sa.String(8), nullable=False),
        sa.Column("scopes", JSONB(), nullable=False, server_default="{}"),
        sa.Column("created_by", sa.String(40), nullable=False),
        moment("created_at"),
        moment("last_used_at", nullable=True),
        moment("revoked_at", nullable=True),
        sa.PrimaryKeyConstraint("key_hash", name="pk_api_keys"),
        sa.UniqueConstraint("merchant_id", "id", name="uq_api_keys_merchant_id_id"),
    )
    _wall_off()


def _wall_off() -> None:
    for table in (*TENANT, *SHARED):
        op.execute(f"alter table {table} enable row level security")
        op.execute(f"alter table {table} force row level security")
        rights = "select, insert" if table in APPEND_ONLY else "select, insert, update, delete"
        op.execute(f"grant {rights} on {table} to {APPLICATION}")
        op.execute(f"create policy tenant on {table} to {APPLICATION} using ({MINE}) with check ({MINE})")
    for table in SHARED:
        op.execute(f"grant select, insert, update, delete on {table} to {PLATFORM}")
        op.execute(f"create policy platform on {table} to {PLATFORM} using (true) with check (true)")


def downgrade() -> None:
    for table in reversed((*TENANT, *SHARED)):
        op.drop_table(table)
    op.drop_column("messages", "sender_key")
