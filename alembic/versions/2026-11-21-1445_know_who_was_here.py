"""know who was here: presence, how a click was confirmed, and what usage was reported to the operator's meter"""

from collections.abc import Sequence

import sqlalchemy as sa

from alembic import op

revision: str = "0017"
down_revision: str | None = "0016"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

APPLICATION = "phantom_application"
MINE = "merchant_id = (select current_setting('app.merchant_id', true))"
RIGHTS = {"presence": "select, insert, update, delete", "usage_reports": "select, insert, update"}


def _text(name: str, length: int, default: str = "") -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=False, server_default=default)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[sa.DateTime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _cents(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False, server_default="0")


def upgrade() -> None:
    op.add_column("clicks", _text("confirmed_by", 16, "button"))
    op.add_column("clicks", _moment("returned_at", nullable=True))
    op.add_column("merchants", sa.Column("usage_customer_id", sa.String(64), nullable=True))
    op.add_column("merchants", sa.Column("usage_since", sa.Date(), nullable=True))
    op.create_table(
        "presence",
        sa.Column("merchant_id", sa.String(40), nullable=False),
        sa.Column("customer_id", sa.String(64), nullable=False),
        _moment("first_seen_at"),
        _moment("last_seen_at"),
        sa.PrimaryKeyConstraint("merchant_id", "customer_id", name="pk_presence"),
    )
    op.create_index("ix_presence_seen", "presence", ["merchant_id", "last_seen_at"])
    op.create_table(
        "usage_reports",
        sa.Column("merchant_id", sa.String(40), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        _cents("counted_cents"),
        _cents("sent_cents"),
        sa.Column("state", sa.String(32), nullable=False),
        _text("identifier", 100),
        _text("event_name", 100),
        _text("customer_id", 64),
        _moment("stamped_at", nullable=True),
        _moment("intended_at", nullable=True),
        _moment("settled_at", nullable=True),
        sa.Column("error", sa.Text(), nullable=False, server_default=""),
        sa.PrimaryKeyConstraint("merchant_id", "currency", "day", name="pk_usage_reports"),
    )
    _index_presence()
    for table, rights in RIGHTS.items():
        op.execute(f"alter table {table} enable row level security")
        op.execute(f"alter table {table} force row level security")
        op.execute(f"grant {rights} on {table} to {APPLICATION}")
        op.execute(f"create policy tenant on {table} to {APPLICATION} using ({MINE}) with check ({MINE})")


def _index_presence() -> None:
    op.create_index(
        "ix_ghost_targets_presence",
        "ghost_targets",
        ["merchant_id", sa.text("last_presence_at desc nulls last"), sa.text("found_at desc"), "id"],
    )
    op.create_index(
        "ix_ghost_targets_active",
        "ghost_targets",
        ["merchant_id", "currency", "last_presence_at"],
        postgresql_include=["customer_id", "amount_cents"],
        postgresql_where=sa.text(
            "last_presence_at is not null and state in ('open', 'contacted', 'clicked', 'paused', 'exhausted')"
        ),
    )


def downgrade() -> None:
    op.drop_index("ix_ghost_targets_active", table_name="ghost_targets")
    op.drop_index("ix_ghost_targets_presence", table_name="ghost_targets")
    for table in reversed(RIGHTS):
        op.drop_table(table)
    op.drop_column("merchants", "usage_since")
    op.drop_column("merchants", "usage_customer_id")
    op.drop_column("clicks", "returned_at")
    op.drop_column("clicks", "confirmed_by")
