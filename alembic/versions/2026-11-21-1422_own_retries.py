"""own retries and their budget; who released and closed a manual task"""

from collections.abc import Sequence

import sqlalchemy as sa
import sqlmodel

from alembic import op

revision: str = "0013"
down_revision: str | None = "0012"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def _text(name: str, length: int) -> sa.Column[str]:
    return sa.Column(name, sqlmodel.sql.sqltypes.AutoString(length=length), server_default="", nullable=False)


def _id(name: str, length: int = 64) -> sa.Column[str]:
    return sa.Column(name, sqlmodel.sql.sqltypes.AutoString(length=length), nullable=True)


def _moment(name: str) -> sa.Column[sa.DateTime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=True)


def _columns() -> dict[str, list[sa.Column]]:  # type: ignore[type-arg]  # of several types
    return {  # type: ignore[type-arg]  # of several types
        "ghost_targets": [
            _text("card_fingerprint", 64),
            _id("spare_card_id"),
            _id("passed_over_card_id"),
            sa.Column("own_retries", sa.Integer(), server_default="0", nullable=False),
            _moment("last_charge_at"),
            _moment("next_retry_at"),
            sa.Column("retry_reason", sa.Text(), server_default="", nullable=False),
        ],
        "payment_attempts": [_text("card_fingerprint", 64), _id("charge_id")],
        "manual_tasks": [
            _id("closed_by", 40),
            _moment("alerted_at"),
            _moment("released_at"),
            _id("released_by", 40),
        ],
    }


def upgrade() -> None:
    for table, columns in _columns().items():
        for column in columns:
            op.add_column(table, column)
    op.create_index(
        "ix_ghost_targets_retry",
        "ghost_targets",
        ["merchant_id", "next_retry_at"],
        postgresql_where=sa.text("next_retry_at is not null"),
    )
    op.create_index(
        "ix_payment_attempts_card", "payment_attempts", ["merchant_id", "payment_method_id", "attempted_at"]
    )
    op.create_index(
        "ix_payment_attempts_number",
        "payment_attempts",
        ["merchant_id", "card_fingerprint", "attempted_at"],
        postgresql_where=sa.text("card_fingerprint <> ''"),
    )


def downgrade() -> None:
    op.drop_index("ix_payment_attempts_number", table_name="payment_attempts")
    op.drop_index("ix_payment_attempts_card", table_name="payment_attempts")
    op.drop_index("ix_ghost_targets_retry", table_name="ghost_targets")
    for table, columns in _columns().items():
        for column in columns:
            op.drop_column(table, column.name)
