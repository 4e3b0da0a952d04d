"""tasks take turns: lanes and due tasks in the claim's index, so that no walk passes another merchant's backlog"""

from collections.abc import Sequence

import sqlalchemy as sa

from alembic import op

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("scheduled_tasks", sa.Column("lane", sa.String(8), server_default="quick", nullable=False))
    op.add_column("scheduled_tasks", sa.Column("due", sa.Boolean(), server_default=sa.text("true"), nullable=False))
    op.execute("alter table scheduled_tasks no force row level security")  # else the owner sees no row
    op.execute("update scheduled_tasks set lane = 'long' where kind in ('hunt', 'report_usage', 'purge_pii')")
    op.execute("update scheduled_tasks set due = false where state = 'pending' and run_at > now()")
    op.execute("alter table scheduled_tasks force row level security")
    op.drop_index("ix_scheduled_tasks_claim", table_name="scheduled_tasks")
    op.create_index(
        "ix_scheduled_tasks_claim",
        "scheduled_tasks",
        ["lane", sa.text("priority desc"), sa.text("coalesce(merchant_id, '-')"), "run_at", "id"],
        postgresql_where=sa.text("state = 'pending' and due"),
    )
    op.create_index(
        "ix_scheduled_tasks_waiting",
        "scheduled_tasks",
        ["run_at"],
        postgresql_where=sa.text("state = 'pending' and not due"),
    )
    op.create_index(
        "ix_scheduled_tasks_dead", "scheduled_tasks", ["merchant_id", "id"], postgresql_where=sa.text("state = 'dead'")
    )


def downgrade() -> None:
    for name in ("claim", "waiting", "dead"):
        op.drop_index(f"ix_scheduled_tasks_{name}", table_name="scheduled_tasks")
    op.create_index(
        "ix_scheduled_tasks_claim",
        "scheduled_tasks",
        [sa.text("priority desc"), "run_at", "id"],
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.drop_column("scheduled_tasks", "due")
    op.drop_column("scheduled_tasks", "lane")
