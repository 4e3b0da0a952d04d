"""SQL of the dead letters."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlmodel import Session

_MINE = "(cast(:merchant_id as text) is null or merchant_id = :merchant_id)"

_LIST = text(f"""
select id, kind, state, attempts, max_attempts, deaths, run_at, created_at, finished_at, last_error, correlation_id
from scheduled_tasks
where state = 'dead' and {_MINE} and (cast(:before_id as bigint) is null or id < :before_id)
order by id desc limit :limit
""")  # noqa: S608  # parts above, no input

# A sub-select with a limit may be run once a row by the plan, which then takes more than the limit; a CTE may not.
_REPLAY_ALL = text(f"""
with chosen as materialized (
    select id from scheduled_tasks
    where state = 'dead' and {_MINE} and (cast(:kind as text) is null or kind = :kind)
    order by id limit :limit for update skip locked)
update scheduled_tasks task
set state = 'pending', attempts = 0, deaths = 0, put_off = 0, run_at = :now, due = true, finished_at = null
from chosen where task.id = chosen.id
returning task.id
""")  # noqa: S608  # parts above, no input

# An event whose task is gone is swept up again, unless it is handled: which it is, by a person.
_LAY_ASIDE = text(f"""
with aside as (
    update scheduled_tasks
    set state = 'done', finished_at = :now, result = '{{"discarded": "laid aside by a person"}}'
    where id = :id and state = 'dead' and {_MINE}
    returning id, kind, merchant_id, payload
), handled as (
    update processed_events event set payload = null, handled_at = :now, outcome = 'laid_aside'
    from aside where aside.kind = 'handle_event' and event.id = aside.payload ->> 'event_id'
        and event.merchant_id = aside.merchant_id and event.handled_at is null
)
select id from aside
""")  # noqa: S608  # parts above, no input


def list_dead(session: Session, merchant_id: str | None, limit: int, before_id: int | None) -> Sequence[Row[Any]]:
    parameters = {"merchant_id": merchant_id, "limit": limit, "before_id": before_id}
    return session.execute(_LIST, parameters).all()


def replay_all(session: Session, merchant_id: str | None, kind: str | None, limit: int, now: datetime) -> int:
    """How many dead tasks were made pending again."""
    parameters = {"merchant_id": merchant_id, "kind": kind, "limit": limit, "now": now}
    return len(session.execute(_REPLAY_ALL, parameters).all())


def lay_aside(session: Session, task_id: int, merchant_id: str | None, now: datetime) -> bool:
    """Whether there was such a dead task."""
    return session.execute(_LAY_ASIDE, {"id": task_id, "merchant_id": merchant_id, "now": now}).first() is not None
