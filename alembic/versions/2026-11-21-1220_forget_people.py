"""forget people: when a ghost's personal data went, and tombstones that keep it away"""

from collections.abc import Sequence

import sqlalchemy as sa

from alembic import op

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

APPLICATION = "phantom_application"
MINE = "merchant_id = (select current_setting('app.merchant_id', true))"


def upgrade() -> None:
    op.add_column("ghost_targets", sa.Column("purged_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_ghost_targets_unpurged",
        "ghost_targets",
        ["merchant_id", "found_at"],
        postgresql_where=sa.text("purged_at is null"),
    )
    op.create_table(
        "tombstones",
        sa.Column("merchant_id", sa.String(40), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("object_hash", sa.String(64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "kind", "object_hash", name="pk_tombstones"),
    )
    op.execute("alter table tombstones enable row level security")
    op.execute("alter table tombstones force row level security")
    op.execute(f"grant select, insert on tombstones to {APPLICATION}")
    op.execute(f"create policy tenant on tombstones to {APPLICATION} using ({MINE}) with check ({MINE})")


def downgrade() -> None:
    op.drop_table("tombstones")
    op.drop_index("ix_ghost_targets_unpurged", table_name="ghost_targets")
    op.drop_column("ghost_targets", "purged_at")
