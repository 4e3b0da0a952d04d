"""count who clicked and then paid: the funnel's last step, and at which step each ghost is counted"""

from collections.abc import Sequence

import sqlalchemy as sa

from alembic import op

revision: str = "0029"
down_revision: str | None = "0028"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

NEW = "cohort_clicked_recovered_count"
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
READ = ("ghost_targets", "messages", "clicks", "daily_metrics")

# A click on what was said before the failure is no step of the funnel any more.
_CLICKED = """
update ghost_targets ghost set clicked_at = (
    select min(confirmed_at) from clicks click
    where click.merchant_id = ghost.merchant_id and click.ghost_id = ghost.id and not exists (
        select from messages message
        where message.merchant_id = click.merchant_id and message.id = click.message_id and message.step = 0))
where clicked_at is not null
"""
_STEPS = """
update ghost_targets set funnel_step = case
    when clicked_at is null then 1
    when state = 'recovered' and clicked_at <= closed_at + interval '1 second' then 3
    else 2 end
where kind = 'failed' and messages_sent > 0
"""
# Into one shard of each day: only the sum over the shards means anything.
_SUMS = """
with counted as (
    select merchant_id, currency, found_on as day, count(*) filter (where funnel_step >= 1) as messaged,
        count(*) filter (where funnel_step >= 2) as clicked, count(*) filter (where funnel_step = 3) as recovered
    from ghost_targets where kind = 'failed' group by 1, 2, 3
), kept as (
    select merchant_id, currency, day, min(shard) as shard, sum(cohort_messaged_count) as messaged,
        sum(cohort_clicked_count) as clicked
    from daily_metrics group by 1, 2, 3
)
update daily_metrics as sums set cohort_messaged_count = sums.cohort_messaged_count + counted.messaged - kept.messaged,
    cohort_clicked_count = sums.cohort_clicked_count + counted.clicked - kept.clicked,
    cohort_clicked_recovered_count = counted.recovered
from counted join kept using (merchant_id, currency, day)
where (sums.merchant_id, sums.currency, sums.day, sums.shard) = (kept.merchant_id, kept.currency, kept.day, kept.shard)
"""


def upgrade() -> None:
    op.add_column("ghost_targets", sa.Column("funnel_step", sa.SmallInteger(), server_default="0", nullable=False))
    op.add_column("daily_metrics", sa.Column(NEW, sa.Integer(), server_default="0", nullable=False))
    # The owner of the schema sees no rows behind forced row-level security: it is lifted for this transaction, whose
    # exclusive locks keep everybody else away from the tables until it is back.
    for table in READ:
        op.execute(f"alter table {table} no force row level security")
    for statement in (_CLICKED, _STEPS, _SUMS):
        op.execute(statement)
    for table in READ:
        op.execute(f"alter table {table} force row level security")
    _key((*DAY_SUMS, NEW))


def downgrade() -> None:
    _key(DAY_SUMS)
    op.drop_column("daily_metrics", NEW)
    op.drop_column("ghost_targets", "funnel_step")


def _key(sums: Sequence[str]) -> None:
    """Readers never touch the table itself: the key carries every sum."""
    op.execute("alter table daily_metrics drop constraint pk_daily_metrics")
    op.execute(
        "alter table daily_metrics add constraint pk_daily_metrics"
        f" primary key (merchant_id, currency, day, shard) include ({', '.join(sums)})"
    )
