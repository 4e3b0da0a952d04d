"""What the database must be: reachable, migrated, walled off, kept clean, on time, and with room for all of us.

The catalogue may be read by every login, so the system login's connection tells all of this; the owner's is not
needed.
"""

from datetime import UTC, datetime

import psycopg
from sqlalchemy import text
from sqlmodel import Session

from cli.doctor.findings import Check, Trouble, Warn
from cli.logins import APPLICATION_GROUP, PLATFORM_GROUP, Login, Logins, login_problems, plain_url
from cli.migrations import head
from core import clock, config, db
from services.audit import partitions

SETTINGS, DATABASE, SCHEMA = "settings", "database", "schema"
MIGRATE = "run `phantom migrate` with DATABASE_ADMIN_URL"
OLDEST = 150000  # PostgreSQL 15, as server_version_num
LATE, WRONG = 2.0, 30.0  # seconds between the clocks
CONNECTIONS = 100  # web, worker and Sentinel of one machine: pools of 15 for each login, the intake's, and some room
VACUUM = {"scheduled_tasks": 0.01, "processed_events": 0.01, "usage_logs": 0.05}
"""Scale factors (PRODUCT §7.4); a partitioned table has no storage, so they stand on its partitions."""

_UNWALLED = text("""
select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
and relname <> 'alembic_version' and not (relrowsecurity and relforcerowsecurity) order by relname
""")
_READABLE_PARTITIONS = text("""
select relname from pg_class c, aclexplode(c.relacl) as given
where relispartition and relnamespace = 'public'::regnamespace and given.grantee <> c.relowner group by relname
""")
_VACUUM = text("""
select coalesce(parent.relname, c.relname) as name, c.relname as part,
    (select option_value from pg_options_to_table(c.reloptions)
     where option_name = 'autovacuum_vacuum_scale_factor') as factor,
    coalesce((select option_value from pg_options_to_table(c.reloptions)
     where option_name = 'autovacuum_enabled'), 'true') as enabled
from pg_class c left join pg_inherits on inhrelid = c.oid left join pg_class parent on parent.oid = inhparent
where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace
    and coalesce(parent.relname, c.relname) = any(:tables)
""")
_MEMBER = text("select rolsuper, pg_has_role(:login, :own, 'member'), pg_has_role(:login, :other, 'member')"
               " from pg_roles where rolname = :login")  # fmt: skip
_ROOM = text("""
select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int as most,
    (select count(*) from pg_stat_activity where backend_type = 'client backend') as used
""")


def checks() -> list[Check]:
    return [
        Check(DATABASE, reach, (SETTINGS,)),
        Check(SCHEMA, schema, (DATABASE,)),
        Check("logins", logins, (DATABASE,)),
        Check("memberships", memberships, (SCHEMA,)),
        Check("tenant walls", walls, (SCHEMA,)),
        Check("autovacuum", autovacuum, (SCHEMA,)),
        Check("partitions", partitioned, (SCHEMA,)),
        Check("clock", clocks, (DATABASE,)),
        Check("connections", connections, (DATABASE,)),
    ]


def reach() -> str:
    configured = config.settings()
    try:
        for url in (configured.database_url, configured.database_system_url):
            with Login(plain_url(url.get_secret_value())).connect() as connection:
                version, number = connection.info.parameter_status("server_version"), connection.info.server_version
    except psycopg.OperationalError as error:
        raise Trouble(
            str(error).strip().splitlines()[0],
            "start PostgreSQL, or correct DATABASE_URL and DATABASE_SYSTEM_URL",
        ) from None
    if number < OLDEST:
        raise Warn(f"PostgreSQL {version}", "upgrade it: PHANTOM is tried with 18, and 15 is the oldest that may do")
    return f"PostgreSQL {version}"


def schema() -> str:
    with db.system_session() as session:
        if session.scalar(text("select to_regclass('public.alembic_version')")) is None:
            raise Trouble("the database is empty", MIGRATE)
        present = session.scalar(text("select version_num from alembic_version"))
    newest = head()
    if present != newest:
        raise Trouble(f"revision {present}, these sources are at {newest}", MIGRATE)
    return f"revision {present}"


def _both() -> Logins:
    configured = config.settings()
    application, platform = (
        url.get_secret_value() for url in (configured.database_url, configured.database_system_url)
    )
    return Logins.of_urls(platform, application, platform)


def logins() -> str:
    if problems := login_problems(_both()):
        raise Trouble(
            "; ".join(problems),
            "make two plain logins (nosuperuser nobypassrls) that own nothing, and put them into the two URLs",
        )
    return "row-level security binds both"


def memberships() -> str:
    found = _both()
    pairs = (
        ("DATABASE_URL", found.application.user, APPLICATION_GROUP, PLATFORM_GROUP),
        ("DATABASE_SYSTEM_URL", found.platform.user, PLATFORM_GROUP, APPLICATION_GROUP),
    )
    with db.system_session() as session:
        for name, login, own, other in pairs:
            powerful, mine, theirs = session.execute(_MEMBER, {"login": login, "own": own, "other": other}).one()
            if not mine:
                raise Trouble(f"the login of {name} is not in {own}", MIGRATE)
            if theirs and not powerful:
                raise Trouble(
                    f"the login of {name} is in {other} as well", f"as the owner: revoke {other} from {login}"
                )
    return "each login has its own rights alone"


def walls() -> str:
    with db.system_session() as session:
        open_tables = list(session.execute(_UNWALLED).scalars())
        readable = list(session.execute(_READABLE_PARTITIONS).scalars())
    if open_tables:
        raise Trouble(
            f"no forced row-level security on {', '.join(open_tables)}",
            "as the owner: alter table … enable row level security, force row level security;"
            " a table of your own belongs into another schema",
        )
    if readable:
        raise Trouble(
            f"partitions can be read past their table's policies: {', '.join(readable)}",
            "as the owner: revoke all on them from everybody",
        )
    return "row-level security is forced on every table"


def autovacuum() -> str:
    with db.system_session() as session:
        if session.scalar(text("select current_setting('autovacuum')")) != "on":
            raise Trouble("autovacuum is off: tables only grow", "set autovacuum = on in postgresql.conf and reload")
        rows = session.execute(_VACUUM, {"tables": list(VACUUM)}).all()
    wrong = [row.part for row in rows if float(row.factor or -1) != VACUUM[row.name] or row.enabled == "false"]
    if wrong:
        wanted = "alter table {0} reset (autovacuum_enabled), set (autovacuum_vacuum_scale_factor = {1})"
        statements = "; ".join(wanted.format(row.part, VACUUM[row.name]) for row in rows if row.part in wrong)
        raise Trouble(f"not set as they must be on {', '.join(wrong)}", f"as the owner: {statements}")
    return f"set on {len(rows)} tables and partitions"


def partitioned() -> str:
    with db.system_session() as session:
        if missing := partitions.missing(session, clock.now()):
            raise Warn(
                f"not made yet: {', '.join(missing)} (rows go to the default partition meanwhile)",
                "start the Sentinel, which makes them each minute; if it runs, look for janitor.partitions in its log",
            )
    return "ahead of time"


def clocks() -> str:
    """The database's clock against this machine's; half the round trip is the doubt."""
    with db.system_session() as session:
        session.execute(text("select 1"))  # the connection is up
        before = datetime.now(UTC)
        theirs = session.scalar(text("select clock_timestamp()"))
        after = datetime.now(UTC)
    apart = judged_apart(theirs, before, after)
    words, remedy = f"this machine and the database are {apart:.1f} s apart", "run a time service (NTP) on both"
    if apart > WRONG:
        raise Trouble(f"{words}: leases and signatures are judged wrongly", remedy)
    if apart > LATE:
        raise Warn(words, remedy)
    return words


def judged_apart(theirs: datetime, before: datetime, after: datetime) -> float:
    """How many seconds `theirs` is outside of the time in which it was asked for."""
    return max((before - theirs).total_seconds(), (theirs - after).total_seconds(), 0.0)


def connections() -> str:
    with db.system_session() as session:
        return _room(session)


def _room(session: Session) -> str:
    most, used = session.execute(_ROOM).one()
    words = f"{used} of {most} connections are in use"
    remedy = "raise max_connections, or run fewer processes: docs/operations.md says how many each takes"
    if used > 0.95 * most:
        raise Trouble(words, remedy)
    if used > 0.8 * most:
        raise Warn(words, remedy)
    if most < CONNECTIONS:
        raise Warn(f"{most} connections; one machine's processes may want {CONNECTIONS}", remedy)
    return words
