"""SQL over the platform's own tables for operators and the System page; never a scan of what is done."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlmodel import Session

from core.locks import lock_key
from services.tasks.schedules import SENTINEL_LOCK

_PATIENCE = text("set local statement_timeout = 2000")

# No count goes on for ever: what says that much waits must not itself be late for it.
_RUNNING = text("select kind, count(*) as tasks from scheduled_tasks where state = 'running' group by kind")
_DEAD = text("""
select kind, count(*) as tasks from (select kind from scheduled_tasks where state = 'dead' limit :most) counted
group by kind
""")
_UNHANDLED = text("""
select count(*) as events, min(received_at) as oldest
from (select received_at from processed_events where handled_at is null order by received_at limit :most) counted
""")

# The keys of the last slots' tasks are probes of a unique index, so this costs the same however much work is done
# beside. An account without any of them done counts from when it was connected.
_HUNTS = text("""
select count(*) as accounts, min(coalesce(last.finished_at, greatest(account.connected_at, :horizon))) as oldest
from (
    select merchant_id, min(connected_at) as connected_at from stripe_accounts
    where disconnected_at is null group by merchant_id
) account
left join lateral (
    select max(finished_at) as finished_at from scheduled_tasks
    where key = any(select concat('hunt:', account.merchant_id, ':', slot)
                    from unnest(cast(:slots as bigint[])) as slot)
        and state = 'done'
) last on true
""")

_LATEST_OF = text("""
select state, run_at, finished_at, last_error from scheduled_tasks
where key = any(cast(:keys as text[])) and merchant_id = :merchant_id order by run_at desc limit 1
""")

_LEADERS = text("""
select count(*) from pg_locks
where locktype = 'advisory' and granted and objsubid = 1
    and database = (select oid from pg_database where datname = current_database())
    and (classid::bigint << 32 | objid::bigint) = :key
""")


def limit_patience(session: Session) -> None:
    """Two seconds a statement: a scrape that hangs tells less than one with a gap."""
    session.execute(_PATIENCE)


def running(session: Session) -> dict[str, int]:
    return {row.kind: row.tasks for row in session.execute(_RUNNING)}


def dead(session: Session, most: int) -> dict[str, int]:
    return {row.kind: row.tasks for row in session.execute(_DEAD, {"most": most})}


def unhandled(session: Session, most: int) -> Row[Any]:
    """How many events are not handled, at most `most`, and when the oldest came."""
    return session.execute(_UNHANDLED, {"most": most}).one()


def hunts(session: Session, slots: list[int], horizon: datetime) -> Row[Any]:
    """How many merchants are connected, and when the longest unhunted one's last hunt was done."""
    return session.execute(_HUNTS, {"slots": slots, "horizon": horizon}).one()


def latest_of(session: Session, merchant_id: str, keys: list[str]) -> Row[Any] | None:
    """A merchant's latest task of these keys."""
    return session.execute(_LATEST_OF, {"merchant_id": merchant_id, "keys": keys}).one_or_none()


def leaders(session: Session) -> int:
    """How many Sentinels lead: one, or none."""
    return int(session.execute(_LEADERS, {"key": lock_key(SENTINEL_LOCK)}).scalar_one())
