"""partition the append-only logs by id; the activity ledger; a function that makes and drops partitions

The Sentinel's login owns nothing and may not alter a table. `keep_partitions` does it for the owner: it takes a
table of a closed list and a moment, and holds itself what is kept for how long, so that whoever has that login can
hurry nothing but the clock, and that by a year at most.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

APPLICATION, PLATFORM = "phantom_application", "phantom_platform"
MINE = "merchant_id = (select current_setting('app.merchant_id', true))"

_KEY = 'merchant_id varchar(40) not null, id varchar(64) collate "C" not null'
_FACTS = "facts jsonb not null default '{}', occurred_at timestamptz not null"
COLUMNS = {
    "system_logs": "level varchar(16) not null, event varchar(64) not null, message text not null default '',",
    "audit_log": "actor_id varchar(40) not null, action varchar(64) not null, target varchar(128) not null,",
}
USAGE = (
    "kind varchar(48) not null, quantity bigint not null, currency varchar(3) not null,"
    " reference varchar(64) not null, occurred_at timestamptz not null"
)

# The smallest id of a moment: 48 bits of milliseconds in ten digits of Crockford's base 32, as `core.ids` writes them.
FIRST_ID = """
create function first_id_of(prefix text, moment timestamptz) returns text
language sql immutable strict parallel safe set search_path = pg_catalog, pg_temp
as $$
    select prefix || '_' || string_agg(
        substr('0123456789abcdefghjkmnpqrstvwxyz', ((milliseconds >> (5 * place)) & 31)::int + 1, 1), ''
        order by place desc) || repeat('0', 16)
    from (select floor(extract(epoch from moment) * 1000)::bigint as milliseconds) as time, generate_series(0, 9) place
$$
"""

# ATTACH takes a lightweight lock on the parent where CREATE … PARTITION OF would stop every reader. Row-level security
# is forced on the owner too, hence lifted for the moment that stray rows are moved, within one transaction and under
# the exclusive lock which ALTER TABLE takes. A table that others hold is left for the next round.
KEEP = """
create function keep_partitions(relation text, as_of timestamptz, out made int, out dropped int, out busy boolean)
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '1s'
as $$
declare
    prefix text; unit text; kept interval; vacuum_at numeric;
    span interval; here timestamp; period timestamp; part text; low text; high text; fallback text; strays boolean;
begin
    case relation
        when 'system_logs' then prefix := 'sl'; unit := 'month'; kept := '90 days';
        when 'usage_logs' then prefix := 'ul'; unit := 'month'; kept := '13 months'; vacuum_at := 0.05;
        when 'audit_log' then prefix := 'al'; unit := 'year'; kept := '7 years';
        else raise exception 'no partitions are kept of %', relation using errcode = 'invalid_parameter_value';
    end case;
    if as_of is null or as_of > clock_timestamp() + interval '1 year' then
        raise exception 'no clock may say %', as_of using errcode = 'invalid_parameter_value';
    end if;
    made := 0; dropped := 0; busy := not pg_try_advisory_xact_lock(hashtextextended('partitions:' || relation, 0));
    if busy then
        return;
    end if;
    span := ('1 ' || unit)::interval; here := timezone('UTC', as_of);
    fallback := relation || '_default'; strays := pg_relation_size(format('public.%I', fallback)::regclass) > 0;
    begin
        if strays then
            execute format('alter table public.%I no force row level security', fallback);
            execute format('delete from public.%I where id < $1', fallback)
                using public.first_id_of(prefix, timezone('UTC', date_trunc(unit, here - kept)));
        end if;
        for period in
            select generate_series(date_trunc(unit, here - kept), date_trunc(unit, here + interval '2 months'), span)
        loop
            part := relation || to_char(period, '_YYYY_MM');
            low := public.first_id_of(prefix, timezone('UTC', period));
            high := public.first_id_of(prefix, timezone('UTC', period + span));
            continue when to_regclass(format('public.%I', part)) is not null;
            if period < date_trunc(unit, here) then  -- the past is made for rows that have none
                continue when not strays;
                execute format('select exists (select from public.%I where id >= $1 and id < $2)', fallback)
                    into busy using low, high;
                continue when not busy;
                busy := false;
            end if;
            execute format('create table public.%I (like public.%I including all)', part, relation);
            if vacuum_at is not null then
                execute format('alter table public.%I set (autovacuum_vacuum_scale_factor = %s,'
                    ' autovacuum_vacuum_insert_scale_factor = %2$s)', part, vacuum_at);
            end if;
            if strays then
                execute format('with moved as (delete from public.%I where id >= $1 and id < $2 returning *)'
                    ' insert into public.%I select * from moved', fallback, part) using low, high;
            end if;
            execute format('alter table public.%I enable row level security, force row level security', part);
            execute format('alter table public.%I attach partition public.%I for values from (%L) to (%L)',
                relation, part, low, high);
            made := made + 1;
        end loop;
        if strays then
            execute format('select exists (select from public.%I)', fallback) into strays;
            if not strays then
                execute format('truncate public.%I', fallback);
            end if;
            execute format('alter table public.%I force row level security', fallback);
        end if;
    exception when lock_not_available then
        made := 0; busy := true;
    end;
    begin
        for part in
            select child.relname from pg_inherits join pg_class child on child.oid = inhrelid
            where inhparent = format('public.%I', relation)::regclass and child.relname ~ '_[0-9]{4}_[0-9]{2}$'
                and to_date(right(child.relname, 7), 'YYYY_MM')::timestamp + span <= here - kept
            order by child.relname
        loop
            execute format('drop table public.%I', part);
            dropped := dropped + 1;
        end loop;
    exception when lock_not_available then
        dropped := 0; busy := true;
    end;
end
$$
"""


def upgrade() -> None:
    for table, columns in COLUMNS.items():
        op.execute(f"alter table {table} rename to {table}_before")
        op.execute(f"alter table {table}_before rename constraint pk_{table} to pk_{table}_before")
        op.execute(f"drop index ix_{table}_recent")  # the key's own order is the time's
        _create(table, f"{columns} {_FACTS}")
        # Row-level security is forced on the owner too, who would copy nothing.
        op.execute(f"alter table {table}_before no force row level security")
        op.execute(f"alter table {table}_default no force row level security")
        op.execute(f"insert into {table}_default select * from {table}_before")  # noqa: S608  # names stand above
        op.execute(f"alter table {table}_default force row level security")
        op.execute(f"drop table {table}_before")
    _create("usage_logs", USAGE)
    op.execute(
        "alter table usage_logs_default set"
        " (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.05)"
    )
    for statement in (FIRST_ID, KEEP):
        op.execute(statement)
    signature = "keep_partitions(text, timestamptz)"
    op.execute(f"revoke all on function {signature} from public")
    op.execute(f"grant execute on function {signature} to {PLATFORM}")


def _create(table: str, columns: str) -> None:
    """A partitioned table with its default partition, behind the same wall as every tenant table."""
    op.execute(
        f"create table {table} ({_KEY}, {columns}, constraint pk_{table} primary key (merchant_id, id))"
        " partition by range (id)"
    )
    op.execute(f"create table {table}_default partition of {table} default")
    for each in (table, f"{table}_default"):
        op.execute(f"alter table {each} enable row level security, force row level security")
    op.execute(f"grant select, insert on {table} to {APPLICATION}")
    op.execute(f"create policy tenant on {table} to {APPLICATION} using ({MINE}) with check ({MINE})")


def downgrade() -> None:
    op.execute("drop function keep_partitions(text, timestamptz)")
    op.execute("drop function first_id_of(text, timestamptz)")
    op.execute("drop table usage_logs")
    for table, columns in COLUMNS.items():
        op.execute(f"alter table {table} rename to {table}_parts")
        op.execute(f"alter table {table}_parts rename constraint pk_{table} to pk_{table}_parts")
        op.execute(f"alter table {table}_parts no force row level security")
        key = _KEY.replace(' collate "C"', "")
        op.execute(
            f"create table {table} ({key}, {columns} {_FACTS}, constraint pk_{table} primary key (merchant_id, id))"
        )
        op.execute(f"insert into {table} select * from {table}_parts")  # noqa: S608  # names stand above
        op.execute(f"drop table {table}_parts")
        op.execute(f"alter table {table} enable row level security, force row level security")
        rights = "select, insert" if table == "audit_log" else "select, insert, update, delete"
        op.execute(f"grant {rights} on {table} to {APPLICATION}")
        op.execute(f"create policy tenant on {table} to {APPLICATION} using ({MINE}) with check ({MINE})")
    op.execute("create index ix_audit_log_recent on audit_log (merchant_id, occurred_at desc)")
    op.execute("create index ix_system_logs_recent on system_logs (merchant_id, occurred_at desc, id)")
