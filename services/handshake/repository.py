"""All SQL of webhook intake: the one hot statement, and what the handling task needs."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from sqlalchemy import text
from sqlmodel import Session

from core.rows import read
from services.handshake.schemas import StoredEvent

Row = tuple[str, str, str | None, bool, bytes | None, str]  # id, type, account, livemode, payload, outcome

# One statement in autocommit mode is one transaction without BEGIN and COMMIT round trips. Ids come sorted, so that
# two processes that store the same duplicates in different order wait for each other instead of deadlocking.
_STORE = """
with incoming as (
    select * from unnest(%b::text[], %b::text[], %b::text[], %b::boolean[], %b::bytea[], %b::text[])
        as event (id, type, account, livemode, payload, outcome)
), known as (
    select event.*, owner.merchant_id,
        case when event.outcome <> '' then event.outcome
             when owner.merchant_id is null then 'unknown_account' else '' end as verdict
    from incoming event left join stripe_accounts owner on owner.stripe_user_id = event.account
    order by event.id
), fresh as (
    insert into processed_events
        (id, source, type, account, merchant_id, livemode, payload, received_at, handled_at, outcome)
    select id, 'stripe', type, account, merchant_id, livemode, case when verdict = '' then payload end,
        %b::timestamptz, case when verdict <> '' then %b::timestamptz end, verdict
    from known
    on conflict (id) do nothing
    returning id, merchant_id, outcome, received_at
)
insert into scheduled_tasks
    (state, kind, key, merchant_id, payload, priority, run_at, correlation_id, created_at)
select 'pending', 'handle_event', 'event:' || id, merchant_id, jsonb_build_object('event_id', id), %b::int, received_at,
    left(id, 64), received_at
from fresh where outcome = ''
order by id
on conflict (key) do nothing
"""

# Rows come sorted for the same reason. The last part reads what was there before this statement.
_STORE_SENDERS = text("""
with incoming as (
    select * from unnest(cast(:ids as text[]), cast(:sources as text[]), cast(:types as text[]),
        cast(:merchants as text[]), cast(:payloads as bytea[])) as event (id, source, type, merchant_id, payload)
), fresh as (
    insert into processed_events (id, source, type, merchant_id, livemode, payload, received_at, outcome)
    select id, source, type, merchant_id, :livemode, payload, :now, '' from incoming order by id
    on conflict (id) do nothing
    returning id, merchant_id
), follow_ups as (
    insert into scheduled_tasks (state, kind, key, merchant_id, payload, priority, run_at, correlation_id, created_at)
    select 'pending', 'handle_event', 'event:' || id, merchant_id, jsonb_build_object('event_id', id), :priority, :now,
        left(id, 64), :now
    from fresh order by id
    on conflict (key) do nothing
)
select id, true as is_new from fresh
union all
select known.id, false from processed_events known join incoming using (id) where known.handled_at is null
""")

_SWEEP = text("""
insert into scheduled_tasks (state, kind, key, merchant_id, payload, priority, run_at, correlation_id, created_at)
select 'pending', 'handle_event', 'event:' || id, merchant_id, jsonb_build_object('event_id', id), :priority, :now,
    left(id, 64), :now
from processed_events event
where handled_at is null and received_at < :before
    and not exists (select from scheduled_tasks where key = 'event:' || event.id)
order by received_at limit :limit
on conflict (key) do nothing
""")

_PRUNE = text("""
delete from processed_events where id in (
    select id from processed_events
    where received_at < :before and handled_at is not null and outcome <> 'given_up'
    order by received_at limit :limit for update skip locked)
""")

_OLD = text("""
select 'events' as name where exists (
    select from processed_events
    where received_at < :handled_before and handled_at is not null and outcome <> 'given_up'
    order by received_at limit 1)
union all
select 'given_up' where exists (
    select from processed_events where received_at < :unhandled_before and handled_at is null
    order by received_at limit 1)
""")

_GIVE_UP = text("""
update processed_events set payload = null, handled_at = :now, outcome = 'given_up' where id in (
    select id from processed_events where received_at < :before and handled_at is null
    order by received_at limit :limit for update skip locked)
""")


# When a type was last seen of a merchant is kept to five minutes: most events find that out from the key alone, and a
# busy merchant's do not queue for one row.
_HANDLED = text("""
with handled as (
    update processed_events set payload = null, handled_at = :now, outcome = :outcome
    where id = :id and handled_at is null
    returning merchant_id, type, received_at, source
)
insert into webhook_sightings (merchant_id, type, last_at)
select merchant_id, type, received_at from handled
where source = 'stripe' and merchant_id is not null and not exists (
    select from webhook_sightings known
    where known.merchant_id = handled.merchant_id and known.type = handled.type
        and known.last_at > handled.received_at - interval '5 minutes')
on conflict (merchant_id, type) do update set last_at = greatest(webhook_sightings.last_at, excluded.last_at)
""")


async def store(connection: AsyncConnection[Any], rows: Sequence[Row], now: datetime, priority: int) -> int:
    """Commit these events, each with its task where it has one; how many tasks are new. Duplicates change nothing."""
    columns = [list(column) for column in zip(*sorted(rows, key=lambda row: row[0]), strict=True)]
    cursor = await connection.execute(_STORE, (*columns, now, now, priority))
    return cursor.rowcount


def store_sender_events(session: Session, columns: dict[str, Any]) -> dict[str, bool]:
    """Store events with their tasks; by id whether it is new, of those that nobody has handled yet."""
    return {row.id: row.is_new for row in read(session, _STORE_SENDERS, **columns)}


_EVENT = text("""
select id, source, type, account, merchant_id, payload, received_at, handled_at, outcome from processed_events
where id = :id
""")


def get_event(session: Session, event_id: str) -> StoredEvent | None:
    row = read(session, _EVENT, id=event_id).one_or_none()
    return None if row is None else StoredEvent(*row)


def mark_handled(session: Session, event_id: str, outcome: str, now: datetime) -> None:
    """Note the outcome, empty the payload, which holds personal data, and note that such an event was seen.

    The first outcome stays.
    """
    read(session, _HANDLED, id=event_id, outcome=outcome, now=now)


def sweep(session: Session, *, before: datetime, now: datetime, priority: int, limit: int) -> int:
    """Tasks made for unhandled events that have none."""
    return read(session, _SWEEP, before=before, now=now, priority=priority, limit=limit).rowcount


def prune(session: Session, *, before: datetime, limit: int) -> int:
    """Handled events deleted; not those that were given up."""
    return read(session, _PRUNE, before=before, limit=limit).rowcount


def old(session: Session, *, handled_before: datetime, unhandled_before: datetime) -> list[str]:
    """`events` where some can be pruned, `given_up` where some can be given up."""
    return read(session, _OLD, handled_before=handled_before, unhandled_before=unhandled_before).scalars()


def give_up(session: Session, *, before: datetime, now: datetime, limit: int) -> int:
    """Unhandled events emptied and marked."""
    return read(session, _GIVE_UP, before=before, now=now, limit=limit).rowcount
