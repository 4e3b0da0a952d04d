"""How much waits in the queue, and for how long: read from its indexes, at a cost that has a limit.

A scrape must not tell less just when the queue is long, so nothing here counts or compares all that waits.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlmodel import Session

from models.work import TaskLane
from services.tasks.claim_repository import walk_indexes

# Of each lane's due tasks, and of those that are not due yet, the first in the order of an index each.
_WAITING = text("""
select kind, lane, count(*) as waiting, count(*) filter (where is_due) as due
from (
    select kind, mine.lane, true as is_due
    from unnest(cast(:lanes as text[])) as mine (lane) cross join lateral (
        select kind from scheduled_tasks where state = 'pending' and due and lane = mine.lane
        order by priority desc, coalesce(merchant_id, '-'), run_at, id limit :most) task
    union all
    (select kind, lane, run_at <= :now from scheduled_tasks where state = 'pending' and not due
    order by run_at limit :most)
) counted group by kind, lane
""")

# The oldest of each merchant is the first of its part of the index: one descent a merchant and priority. What has
# become due and was not noticed yet is the beginning of the other index.
_OLDEST = text("""
with recursive visits as (
    select mine.lane, task.*, 1 as visit
    from unnest(cast(:lanes as text[])) as mine (lane) cross join lateral (
        select priority, coalesce(merchant_id, '-') as merchant, run_at from scheduled_tasks
        where state = 'pending' and due and lane = mine.lane
        order by priority desc, coalesce(merchant_id, '-'), run_at, id limit 1) task
    union all
    select here.lane, next.priority, next.merchant, next.run_at, here.visit + 1
    from visits here cross join lateral (
        (select 0 as lower, priority, coalesce(merchant_id, '-') as merchant, run_at from scheduled_tasks
        where state = 'pending' and due and lane = here.lane and priority = here.priority
            and coalesce(merchant_id, '-') > here.merchant
        order by priority desc, coalesce(merchant_id, '-'), run_at, id limit 1)
        union all
        (select 1, priority, coalesce(merchant_id, '-'), run_at from scheduled_tasks
        where state = 'pending' and due and lane = here.lane and priority < here.priority
        order by priority desc, coalesce(merchant_id, '-'), run_at, id limit 1)
        order by lower limit 1) next
    where here.visit < :most
), unnoticed as (
    select lane, run_at from scheduled_tasks where state = 'pending' and not due and run_at <= :now
    order by run_at limit :most
)
select lane, min(run_at) as oldest
from (select lane, run_at from visits union all select lane, run_at from unnoticed) seen group by lane
""")


def waiting(session: Session, now: datetime, most: int) -> list[Row[Any]]:
    """Tasks of each kind and lane, `waiting` and how many of these are `due`.

    Of each lane's due tasks, and of all that are not, at most `most` are counted.
    """
    walk_indexes(session)
    return list(session.execute(_WAITING, {"lanes": [*TaskLane], "now": now, "most": most}))


def oldest_due(session: Session, now: datetime, most: int) -> dict[str, datetime]:
    """When the longest waiting due task of each lane should have run; of more than `most` merchants the first."""
    walk_indexes(session)
    found = session.execute(_OLDEST, {"lanes": [*TaskLane], "now": now, "most": most})
    return {row.lane: row.oldest for row in found}
