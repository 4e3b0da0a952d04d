"""sums by day and mechanism: a dashboard read each of the period's entries of the ledger to say what came by what"""

from collections.abc import Sequence

import sqlalchemy as sa

from alembic import op

revision: str = "0035"
down_revision: str | None = "0034"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

APPLICATION = "phantom_application"
MINE = "merchant_id = (select current_setting('app.merchant_id', true))"
VACUUM = (
    "autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 200, autovacuum_analyze_threshold = 200,"
    " vacuum_index_cleanup = on"
)
# Into one shard of each day: only the sum over the shards means anything. What was credited to another mechanism is
# the other's.
_COUNTED = """
insert into daily_merits (merchant_id, currency, kind, day, mechanism, amount_cents, times)
select merchant_id, currency,
    case when kind <> 'protected' then 'recovered' when amount_cents < 0 then 'failed' else 'protected' end,
    (occurred_at at time zone 'utc')::date, mechanism, sum(amount_cents),
    sum(case when kind = 'credited' and amount_cents < 0 then -1 else 1 end)
from recoveries where kind in ('recovered', 'credited', 'protected') group by 1, 2, 3, 4, 5
"""


def upgrade() -> None:
    op.create_table(
        "daily_merits",
        sa.Column("merchant_id", sa.String(40), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("mechanism", sa.String(32), nullable=False),
        sa.Column("shard", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("times", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint(
            "merchant_id",
            "currency",
            "day",
            "kind",
            "mechanism",
            "shard",
            name="pk_daily_merits",
            postgresql_include=["amount_cents", "times"],
        ),
    )
    # The owner of the schema sees no rows behind forced row-level security: it is lifted for this transaction, whose
    # exclusive lock keeps everybody else away from the ledger until it is back.
    op.execute("alter table recoveries no force row level security")
    op.execute(_COUNTED)
    op.execute("alter table recoveries force row level security")
    op.execute("alter table daily_merits enable row level security")
    op.execute("alter table daily_merits force row level security")
    op.execute(f"grant select, insert, update, delete on daily_merits to {APPLICATION}")
    op.execute(f"create policy tenant on daily_merits to {APPLICATION} using ({MINE}) with check ({MINE})")
    op.execute(f"alter table daily_merits set ({VACUUM})")
    op.drop_index("ix_recoveries_merit", table_name="recoveries")


def downgrade() -> None:
    op.create_index(
        "ix_recoveries_merit",
        "recoveries",
        ["merchant_id", "currency", "occurred_at"],
        postgresql_include=["kind", "mechanism", "amount_cents"],
    )
    op.drop_table("daily_merits")
