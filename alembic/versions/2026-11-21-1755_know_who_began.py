"""know which task had begun when its process died, and how often one was put off"""

from collections.abc import Sequence

import sqlalchemy as sa

from alembic import op

revision: str = "0023"
down_revision: str | None = "0022"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    for name in ("suspect", "begun"):
        op.add_column("scheduled_tasks", sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.text("false")))
    op.add_column("scheduled_tasks", sa.Column("put_off", sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    for name in ("put_off", "begun", "suspect"):
        op.drop_column("scheduled_tasks", name)
