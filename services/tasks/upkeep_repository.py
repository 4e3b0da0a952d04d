"""SQL of looking at the queue and keeping it clean: leases that ran out, slots, pruning, the System page."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, TextClause, text
from sqlmodel import Session

from core.rows import read
from models.work import TaskLane, TaskState
from services.tasks.claim_repository import walk_indexes
from services.tasks.lanes import LANES_WITH_DUE, lane_of
from services.tasks.schemas import ExpiredLease, Slot

_LANES_WITH_DUE = text(LANES_WITH_DUE)

_NEXT_DUE = text("""
select run_at from scheduled_tasks where state = 'pending' and not due and run_at <= :until and lane = :lane
order by run_at limit 1
""")

_CONNECTED = text("select distinct merchant_id from stripe_accounts where disconnected_at is null order by 1")

# Keys that are taken are left out before the insert, which would draw a number from the sequence for each.
_SCHEDULE_SLOTS = text("""
insert into scheduled_tasks
    (state, kind, lane, key, merchant_id, payload, priority, run_at, correlation_id, created_at)
select 'pending', mine.kind, mine.lane, mine.key, mine.merchant_id,
    jsonb_build_object('slot', mine.number, 'trigger', 'schedule'), mine.priority, :now, md5(mine.key), :now
from unnest(cast(:kinds as text[]), cast(:lanes as text[]), cast(:priorities as int[]), cast(:merchants as text[]),
    cast(:numbers as bigint[]), cast(:keys as text[]), cast(:begins as timestamptz[]), cast(:connects as boolean[]))
    as mine (kind, lane, priority, merchant_id, number, key, began, done_by_connecting)
where not exists (select from scheduled_tasks task where task.key = mine.key)
    and exists (
        select from stripe_accounts account
        where account.merchant_id = mine.merchant_id and account.disconnected_at is null
            and (not mine.done_by_connecting or account.connected_at < mine.began))
order by mine.merchant_id, mine.key
on conflict (key) do nothing
returning kind
""")

_NEWEST = text(
    "select max(created_at) from (select created_at from scheduled_tasks order by id desc limit 1000) newest"
)

_REDATE_DUE = text("""
update scheduled_tasks set due = true, run_at = cast(:now as timestamptz)
where state = 'pending' and run_at > :now and (due or run_at <= :seen)
""")

# A wait is a failed task's when it was tried, and was counted from the later time when it is longer than any can be.
_REDATE_WAITS = text("""
update scheduled_tasks set run_at = run_at - cast(:back as interval)
where state = 'pending' and not due and attempts > 0
    and run_at > (cast(:longest as timestamptz[]))[least(attempts, cardinality(cast(:longest as timestamptz[])))]
""")

# A clock that jumped back leaves leases that end far in the future: they are as suspect as those that are over.
_EXPIRED = text("""
select id, lease_owner, leased_until from scheduled_tasks
where state = 'running' and (leased_until < :now or leased_until > :absurd)
order by leased_until limit :limit
""")

# Of whom a process died: of the only task it held, or of one that is known to have begun. Of several nobody knows, so
# all of them become suspects, which are written down as they begin; who is one then is counted the death before, too.
# They keep their place in the queue (`run_at`): it is theirs, and a process' end is not their fault.
_RESCUE = text("""
update scheduled_tasks task
set deaths = task.deaths + verdict.deaths,
    suspect = verdict.deaths = 0, begun = false,
    attempts = greatest(task.attempts - 1, 0),
    state = case when task.deaths + verdict.deaths >= :max_deaths then 'dead' else 'pending' end,
    run_at = least(task.run_at, :now),
    due = true,
    finished_at = case when task.deaths + verdict.deaths >= :max_deaths then cast(:now as timestamptz) end,
    last_error = 'The process that ran this task died or stopped answering.',
    lease_owner = null, leased_until = null
from unnest(cast(:ids as bigint[]), cast(:owners as text[]), cast(:untils as timestamptz[]))
        as seen (id, owner, leased_until)
    join scheduled_tasks held on held.id = seen.id
    join (
        select lease_owner, count(*) as tasks from scheduled_tasks where state = 'running' group by lease_owner
    ) batch on batch.lease_owner = seen.owner
    cross join lateral (
        select case when held.begun or batch.tasks = 1 then 1 + held.suspect::int else 0 end as deaths
    ) verdict
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

# Ordered as the deletes are, which find nothing most of the time.
_OLD = text("""
select 'tasks' as name where exists (
    select from scheduled_tasks where state = 'done' and finished_at < :done_before order by finished_at limit 1)
union all
select 'sessions' where exists (select from sessions where expires_at < :now order by expires_at limit 1)
    or exists (select from oauth_states where expires_at < :now order by expires_at limit 1)
""")

# Of each state a bounded number, the longest waiting first, so that a week of done tasks costs no more than a day of
# them. The state is written out in each part: partial indexes need that.
_OF_STATE = """
(select kind, state, run_at from scheduled_tasks where state = '{state}' {mine} {order} limit :most)"""
_COUNTS = """
select kind, state, count(*) as total, min(run_at) filter (where state = 'pending' and run_at <= :now) as oldest
from ({parts}) counted group by kind, state order by kind, state
"""
_RECENT = """
select id, kind, state, attempts, max_attempts, deaths, run_at, created_at, finished_at, last_error, correlation_id
from scheduled_tasks {where} order by id desc limit :limit
"""
_HAS_OPEN = text("""
select exists (
    select from scheduled_tasks
    where merchant_id = :merchant_id and state in ('pending', 'running') and starts_with(key, :key_start))
""")
_OF_MERCHANT = "where merchant_id = :merchant_id"


def lanes_with_due(session: Session, lanes: Iterable[TaskLane], now: datetime) -> set[TaskLane]:
    """In which of these lanes something waits that nobody has claimed."""
    walk_indexes(session)
    found = read(session, _LANES_WITH_DUE, lanes=[lane.value for lane in lanes], now=now)
    return {TaskLane(lane) for lane in found.scalars()}


def next_due(session: Session, lane: TaskLane, until: datetime) -> datetime | None:
    """When the first task of a lane that is not due yet will be, if that is not after `until`."""
    walk_indexes(session)
    found: datetime | None = read(session, _NEXT_DUE, lane=lane.value, until=until).scalar()
    return found


def has_open(session: Session, merchant_id: str, key_start: str) -> bool:
    return bool(read(session, _HAS_OPEN, merchant_id=merchant_id, key_start=key_start).scalar())


def list_connected(session: Session) -> list[str]:
    """Merchants with a connected account."""
    return read(session, _CONNECTED).scalars()


def schedule_slots(session: Session, slots: Sequence[Slot], now: datetime) -> list[str]:
    """A task for each slot that has none; the kinds of the new ones."""
    parameters = {
        "kinds": [slot.kind for slot in slots],
        "lanes": [lane_of(slot.kind).value for slot in slots],
        "priorities": [slot.priority for slot in slots],
        "merchants": [slot.merchant_id for slot in slots],
        "numbers": [slot.number for slot in slots],
        "keys": [slot.key for slot in slots],
        "begins": [slot.began for slot in slots],
        "connects": [slot.done_by_connecting for slot in slots],
        "now": now,
    }
    return read(session, _SCHEDULE_SLOTS, **parameters).scalars()


def newest_created_at(session: Session) -> datetime | None:
    newest: datetime | None = read(session, _NEWEST).scalar()
    return newest


def redate_due(session: Session, seen: datetime, now: datetime) -> int:
    return _rowcount(session, _REDATE_DUE, {"seen": seen, "now": now})


def redate_waits(session: Session, *, back: timedelta, longest: Sequence[datetime]) -> int:
    """`longest` has the latest moment a wait can end after one attempt, two, and so on."""
    return _rowcount(session, _REDATE_WAITS, {"back": back, "longest": list(longest)})


def _rowcount(session: Session, statement: TextClause, parameters: dict[str, Any]) -> int:
    return read(session, statement, **parameters).rowcount


def list_expired(session: Session, *, now: datetime, absurd: datetime, limit: int) -> list[ExpiredLease]:
    rows = read(session, _EXPIRED, now=now, absurd=absurd, limit=limit)
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
    return len(read(session, _RESCUE, **parameters))


def prune(session: Session, table: str, *, before: datetime, limit: int) -> int:
    """Delete at most `limit` rows of `table` that ended before `before`; how many."""
    statement = {"scheduled_tasks": _PRUNE_DONE, "sessions": _PRUNE_SESSIONS, "oauth_states": _PRUNE_STATES}[table]
    return _rowcount(session, statement, {"before": before, "limit": limit})


def old(session: Session, *, done_before: datetime, now: datetime) -> list[str]:
    """Of what is pruned here: `tasks` and `sessions`, where there are any that are old."""
    return read(session, _OLD, done_before=done_before, now=now).scalars()


def counts(session: Session, merchant_id: str | None, now: datetime, most: int) -> list[Row[Any]]:
    mine, order = ("and merchant_id = :merchant_id", "order by run_at") if merchant_id else ("", "")
    parts = " union all ".join(_OF_STATE.format(state=state.value, mine=mine, order=order) for state in TaskState)
    parameters = {"now": now, "most": most, **({"merchant_id": merchant_id} if merchant_id else {})}
    return list(session.execute(text(_COUNTS.format(parts=parts)), parameters))


def recent(session: Session, merchant_id: str | None, limit: int) -> list[Row[Any]]:
    statement = text(_RECENT.format(where=_OF_MERCHANT if merchant_id else ""))
    return list(
        session.execute(statement, {"merchant_id": merchant_id, "limit": limit} if merchant_id else {"limit": limit})
    )
