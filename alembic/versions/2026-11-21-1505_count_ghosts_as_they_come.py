"""charges that have not failed yet; and whoever finds many ghosts can have PostgreSQL count them

For a merchant whom its statistics do not know, PostgreSQL takes reading all of their ghosts for as cheap as looking
some up by a key, and a first hunt reads them again with each page until the autovacuum daemon comes by. The
application's login owns nothing and may not ANALYZE: `refresh_statistics` does it for the owner, and nothing else.
"""

from collections.abc import Sequence

import sqlalchemy as sa

from alembic import op

revision: str = "0020"
down_revision: str | None = "0019"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

REFRESH = """
create function refresh_statistics() returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    analyze (skip_locked) public.ghost_targets (merchant_id, id, invoice_id, subscription_id, state);
end
$$
"""


def upgrade() -> None:
    op.add_column("ghost_targets", sa.Column("charge_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("ghost_targets", sa.Column("risk", sa.String(24), server_default="", nullable=False))
    op.execute(REFRESH)
    op.execute("revoke all on function refresh_statistics() from public")
    op.execute("grant execute on function refresh_statistics() to phantom_application")


def downgrade() -> None:
    op.execute("drop function refresh_statistics()")
    op.drop_column("ghost_targets", "risk")
    op.drop_column("ghost_targets", "charge_at")
