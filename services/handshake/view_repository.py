"""SQL of looking at one merchant's webhooks; system login, no payload."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlmodel import Session

# From the tasks, which have an index by merchant, to the events by their keys: an index by merchant on the events
# would have to be kept by each webhook of everybody for the sake of this page.
_RECENT = text("""
select event.id, event.type, event.received_at, event.handled_at, event.outcome
from (
    select task.key from unnest(cast('{pending,running,done,dead}' as text[])) as states (state)
    cross join lateral (
        select key, run_at from scheduled_tasks
        where merchant_id = :merchant_id and state = states.state and kind = 'handle_event' and run_at >= :since
        order by run_at desc limit :limit
    ) task
    order by task.run_at desc limit :limit
) recent
join processed_events event on event.id = substr(recent.key, 7) and event.merchant_id = :merchant_id
order by event.received_at desc, event.id desc
""")


def list_recent(session: Session, merchant_id: str, since: datetime, limit: int) -> Sequence[Row[Any]]:
    """A merchant's latest events that had a task, newest first."""
    return session.execute(_RECENT, {"merchant_id": merchant_id, "since": since, "limit": limit}).all()
