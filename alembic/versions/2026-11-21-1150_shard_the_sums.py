"""sums in shards with one writer each, and keys that carry what dashboards read

The keys begin as readers ask (merchant, currency, then day or group) and include every sum, so that a dashboard
reads indexes alone. For that the tables' pages must be known to be visible to all: they are small and change
without end, so autovacuum comes after few changes. What is open by decline group gets sums of its own: counting
ghosts would cost one row a ghost.
"""

from collections.abc import Sequence

import sqlalchemy as sa

from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

APPLICATION = "phantom_application"
MINE = "merchant_id = (select current_setting('app.merchant_id', true))"
# Vacuum leaves dead entries alone that lie on less than 2 % of a table's pages; those would be today's, and a page
# with dead entries is never visible to all.
VACUUM = (
    "autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 200, autovacuum_analyze_threshold = 200,"
    " vacuum_index_cleanup = on"
)
FACTS = ("billed", "found", "recovered", "protected", "lost", "reversed")
DAY_SUMS = (
    *(f"{fact}_count" for fact in FACTS),
    *(f"{fact}_cents" for fact in FACTS),
    "messages_count",
    "clicks_count",
    "cohort_messaged_count",
    "cohort_clicked_count",
    "cohort_recovered_count",
    "cohort_recovered_cents",
    "cohort_reversed_cents",
)
TOTAL_SUMS = (
    "leakage_cents",
    "shadow_leakage_cents",
    "impending_leakage_cents",
    "recovered_cents",
    "protected_cents",
    "open_ghosts",
    "impending_ghosts",
)


def upgrade() -> None:
    for table, key, sums in (
        ("daily_metrics", "currency, day, shard", DAY_SUMS),
        ("merchant_totals", "currency, shard", TOTAL_SUMS),
    ):
        op.add_column(table, sa.Column("shard", sa.SmallInteger(), server_default="0", nullable=False))
        op.execute(f"alter table {table} drop constraint pk_{table}")
        op.execute(
            f"alter table {table} add constraint pk_{table}"
            f" primary key (merchant_id, {key}) include ({', '.join(sums)})"
        )
        op.execute(f"alter table {table} set ({VACUUM})")
    _create_open_leakage()
    op.execute(
        "create index ix_hunts_done on hunts (merchant_id, started_at desc) include (finished_at) where state = 'done'"
    )


def _create_open_leakage() -> None:
    op.create_table(
        "open_leakage",
        sa.Column("merchant_id", sa.String(40), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("decline_group", sa.String(32), nullable=False),
        sa.Column("shard", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("amount_cents", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("ghosts", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint(
            "merchant_id",
            "currency",
            "decline_group",
            "shard",
            name="pk_open_leakage",
            postgresql_include=["amount_cents", "ghosts"],
        ),
    )
    # The owner of the schema sees no rows behind forced row-level security: it is lifted for this transaction, whose
    # exclusive lock keeps everybody else away from the table until it is back.
    op.execute("alter table ghost_targets no force row level security")
    op.execute(
        "insert into open_leakage (merchant_id, currency, decline_group, amount_cents, ghosts)"
        " select merchant_id, currency, decline_group, sum(amount_cents), count(*) from ghost_targets"
        " where state in ('open', 'contacted', 'clicked', 'paused') group by 1, 2, 3"
    )
    op.execute("alter table ghost_targets force row level security")
    op.execute("alter table open_leakage enable row level security")
    op.execute("alter table open_leakage force row level security")
    op.execute(f"grant select, insert, update, delete on open_leakage to {APPLICATION}")
    op.execute(f"create policy tenant on open_leakage to {APPLICATION} using ({MINE}) with check ({MINE})")
    op.execute(f"alter table open_leakage set ({VACUUM})")


def downgrade() -> None:
    op.drop_index("ix_hunts_done", "hunts")
    op.drop_table("open_leakage")
    for table, key, shared, sums in (
        ("daily_metrics", ("day", "currency"), (), DAY_SUMS),
        ("merchant_totals", ("currency",), ("updated_at",), TOTAL_SUMS),
    ):
        op.execute(f"alter table {table} no force row level security")
        _join_shards(table, key, shared, sums)
        op.execute(f"alter table {table} force row level security")
        op.execute(f"alter table {table} drop constraint pk_{table}")
        op.drop_column(table, "shard")
        op.execute(f"alter table {table} add constraint pk_{table} primary key (merchant_id, {', '.join(key)})")
        op.execute(
            f"alter table {table} reset (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold,"
            " autovacuum_analyze_threshold, vacuum_index_cleanup)"
        )


def _join_shards(table: str, key: tuple[str, ...], latest: tuple[str, ...], sums: tuple[str, ...]) -> None:
    """One row again where there were sixteen."""
    names = ", ".join(("merchant_id", *key, *latest, *sums))
    values = ", ".join(
        ("merchant_id", *key, *(f"max({column})" for column in latest), *(f"sum({column})" for column in sums))
    )
    op.execute(
        f"with old as (delete from {table} returning *), joined as"  # noqa: S608  # names stand above
        f" (select {values} from old group by {', '.join(('merchant_id', *key))})"
        f" insert into {table} ({names}, shard) select *, -1 from joined"
    )
