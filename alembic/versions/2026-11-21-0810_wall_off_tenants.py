"""wall off tenants: group roles, grants, forced row-level security

Two group roles hold every right; the login users of DATABASE_URL and DATABASE_SYSTEM_URL are members of one each
(`phantom migrate` grants it). The setting is read in a sub-select so that PostgreSQL evaluates it once a query,
not once a row; unset means no rows.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

APPLICATION, PLATFORM = "phantom_application", "phantom_platform"
MINE = "(select current_setting('app.merchant_id', true))"
ME = "(select nullif(current_setting('app.user_id', true), ''))"

TENANT = (
    "audit_log",
    "billed_invoices",
    "clicks",
    "daily_metrics",
    "ghost_events",
    "ghost_targets",
    "hunt_spool",
    "hunts",
    "manual_tasks",
    "memberships",
    "merchant_totals",
    "merchants",
    "messages",
    "payment_attempts",
    "recoveries",
    "suppressions",
    "system_logs",
    "vault_secrets",
)
SHARED = ("link_tokens", "scheduled_tasks", "stripe_accounts")
PLATFORM_ONLY = ("oauth_states", "processed_events", "sessions")
ACCOUNT = ("users",)
APPEND_ONLY = ("audit_log", "ghost_events", "recoveries")


def upgrade() -> None:
    for role in (APPLICATION, PLATFORM):
        # Roles belong to the cluster, which other databases of ours may share; creating one races with them.
        op.execute(
            f"do $$ begin create role {role} nologin; "
            "exception when duplicate_object or unique_violation then null; end $$"
        )
        op.execute(f"grant usage on schema public to {role}")
    for table in (*TENANT, *SHARED, *PLATFORM_ONLY, *ACCOUNT):
        op.execute(f"alter table {table} enable row level security")
        op.execute(f"alter table {table} force row level security")
    for table in (*TENANT, *SHARED):
        column = "id" if table == "merchants" else "merchant_id"
        rights = "select, insert" if table in APPEND_ONLY else "select, insert, update, delete"
        op.execute(f"grant {rights} on {table} to {APPLICATION}")
        op.execute(
            f"create policy tenant on {table} to {APPLICATION} using ({column} = {MINE}) with check ({column} = {MINE})"
        )
    op.execute(f"create policy own_memberships on memberships for select to {APPLICATION} using (user_id = {ME})")
    for table in (*SHARED, *PLATFORM_ONLY):
        op.execute(f"grant select, insert, update, delete on {table} to {PLATFORM}")
        op.execute(f"create policy platform on {table} to {PLATFORM} using (true) with check (true)")
    for table in ACCOUNT:
        op.execute(f"grant select, insert, update on {table} to {APPLICATION}")
        op.execute(f"create policy account on {table} to {APPLICATION} using (true) with check (true)")
    op.execute(f"grant select on alembic_version to {APPLICATION}, {PLATFORM}")
    for table in ("scheduled_tasks", "processed_events"):
        op.execute(f"alter table {table} set (autovacuum_vacuum_scale_factor = 0.01)")


def downgrade() -> None:
    for table in (*TENANT, *SHARED):
        op.execute(f"drop policy tenant on {table}")
    op.execute("drop policy own_memberships on memberships")
    for table in (*SHARED, *PLATFORM_ONLY):
        op.execute(f"drop policy platform on {table}")
    for table in ACCOUNT:
        op.execute(f"drop policy account on {table}")
    for table in (*TENANT, *SHARED, *PLATFORM_ONLY, *ACCOUNT):
        op.execute(f"alter table {table} no force row level security")
        op.execute(f"alter table {table} disable row level security")
        op.execute(f"revoke all on {table} from {APPLICATION}, {PLATFORM}")
