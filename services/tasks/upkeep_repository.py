"""SQL of looking at the queue and keeping it clean: leases that ran out, slots, pruning, the System page."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlmodel import Session

from models.work import TaskLane
from services.tasks.claim_repository import walk_indexes
from services.tasks.lanes import lane_of
from services.tasks.schemas import ExpiredLease

# Ordered, because a planner may answer a mere `exists` by reading the table.
_HAS_DUE = text("""
select coalesce(
    (select true from scheduled_tasks where state = 'pending' and due and lane = :lane order by priority desc limit 1),
    (select true from scheduled_tasks where state = 'pending' and not due and run_at <= :now and lane = :lane
    order by run_at limit 1),
    false)
""")

_SCHEDULE_SLOT = text("""
insert into scheduled_tasks
    (state, kind, lane, key, merchant_id, payload, priority, run_at, correlation_id, created_at)
select 'pending', cast(:kind as text), :lane, key, merchant_id, cast(:payload as jsonb), :priority, :now, md5(key), :now
from (
    select distinct merchant_id, concat(cast(:kind as text), ':', merchant_id, ':', cast(:slot as bigint)) as key
    from stripe_accounts
    where disconnected_at is null and connected_at < coalesce(cast(:connected_before as timestamptz), 'infinity')
    order by merchant_id
) active
on conflict (key) do nothing
""")

# A clock that jumped back leaves leases that end far in the future: they are as suspect as those that are over.
_EXPIRED = text("""
select id, lease_owner, leased_until from scheduled_tasks
where state = 'running' and (leased_until < :now or leased_until > :absurd)
order by leased_until limit :limit
""")

_RESCUE = text("""
update scheduled_tasks task
set deaths = task.deaths + 1,
    attempts = greatest(task.attempts - 1, 0),
    state = case when task.deaths + 1 >= :max_deaths then 'dead' else 'pending' end,
    run_at = case when task.deaths + 1 >= :max_deaths then task.run_at else :now end,
    due = true,
    finished_at = case when task.deaths + 1 >= :max_deaths then cast(:now as timestamptz) end,
    last_error = 'The process that ran this task died or stopped answering.',
    lease_owner = null, leased_until = null
from unnest(cast(:ids as bigint[]), cast(:owners as text[]), cast(:untils as timestamptz[]))
    as seen (id, owner, leased_until)
where task.id = seen.id and task.state = 'running'
    and task.lease_owner = seen.owner and task.leased_until = seen.leased_until
returning task.id
""")

# Materialized, because a plan may run a sub-select with a limit once a row, and then takes more than the limit.
_PRUNE_DONE = text("""
with old as materialized (
    select id from scheduled_tasks where state = 'done' and finished_at < :before
    order by finished_at limit :limit for update skip locked)
delete from scheduled_tasks task using old where task.id = old.id
""")
_PRUNE_SESSIONS = text("""
with old as materialized (
    select token_hash from sessions where expires_at < :before order by expires_at limit :limit)
delete from sessions using old where sessions.token_hash = old.token_hash
""")
_PRUNE_STATES = text("""
with old as materialized (
    select state_hash from oauth_states where expires_at < :before order by expires_at limit :limit)
delete from oauth_states using old where oauth_states.state_hash = old.state_hash
""")

_COUNTS = """
select kind, state, count(*) as total, min(run_at) filter (where state = 'pending' and run_at <= :now) as oldest
from scheduled_tasks {where} group by kind, state order by kind, state
"""
_RECENT = """
select id, kind, state, attempts, max_attempts, deaths, run_at, created_at, finished_at, last_error, correlation_id
from scheduled_tasks {where} order by id desc limit :limit
"""
_OF_MERCHANT = "where merchant_id = :merchant_id"


def has_due(session: Session, lane: TaskLane, now: datetime) -> bool:
    """Whether something waits that nobody has claimed."""
    walk_indexes(session)
    return bool(session.execute(_HAS_DUE, {"lane": lane.value, "now": now}).scalar())


def schedule_slot(
    session: Session, *, kind: str, slot: int, priority: int, now: datetime, connected_before: datetime | None
) -> int:
    """One task for each active merchant unless its slot has one; how many are new."""
    payload = json.dumps({"slot": slot, "trigger": "schedule"})
    parameters = {
        "kind": kind,
        "lane": lane_of(kind).value,
        "slot": slot,
        "payload": payload,
        "priority": priority,
        "now": now,
        "connected_before": connected_before,
    }
    return int(session.execute(_SCHEDULE_SLOT, parameters).rowcount)  # type: ignore[attr-defined]  # CursorResult


def list_expired(session: Session, *, now: datetime, absurd: datetime, limit: int) -> list[ExpiredLease]:
    rows = session.execute(_EXPIRED, {"now": now, "absurd": absurd, "limit": limit})
    return [ExpiredLease(row.id, row.lease_owner, row.leased_until) for row in rows]


def rescue(session: Session, leases: Sequence[ExpiredLease], *, max_deaths: int, now: datetime) -> int:
    """How many of these leases were still as seen, and are now pending or dead."""
    parameters = {
        "ids": [lease.id for lease in leases],
        "owners": [lease.lease_owner for lease in leases],
        "untils": [lease.leased_until for lease in leases],
        "max_deaths": max_deaths,
        "now": now,
    }
    return len(session.execute(_RESCUE, parameters).all())


def prune(session: Session, table: str, *, before: datetime, limit: int) -> int:
    """Delete at most `limit` rows of `table` that ended before `before`; how many."""
    statement = {"scheduled_tasks": _PRUNE_DONE, "sessions": _PRUNE_SESSIONS, "oauth_states": _PRUNE_STATES}[table]
    result = session.execute(statement, {"before": before, "limit": limit})
    return int(result.rowcount)  # type: ignore[attr-defined]  # a delete gives a CursorResult


def counts(session: Session, merchant_id: str | None, now: datetime) -> list[Row[Any]]:
    statement = text(_COUNTS.format(where=_OF_MERCHANT if merchant_id else ""))
    return list(session.execute(statement, {"merchant_id": merchant_id, "now": now} if merchant_id else {"now": now}))


def recent(session: Session, merchant_id: str | None, limit: int) -> list[Row[Any]]:
    statement = text(_RECENT.format(where=_OF_MERCHANT if merchant_id else ""))
    return list(
        session.execute(statement, {"merchant_id": merchant_id, "limit": limit} if merchant_id else {"limit": limit})
    )
