"""SQL of the claim: one statement that visits merchants in turn and never walks past anybody's backlog.

Every step is a descent into `ix_scheduled_tasks_claim` (lane, priority, merchant, run_at, id): the priorities that
have due tasks, from each the next merchant after the one the claimer stopped at last time, of each merchant its
oldest tasks. So a claim costs the same with ten tasks waiting or ten million, of one merchant or of all.
"""

import functools
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, TextClause, text
from sqlmodel import Session

from core import db
from core.rows import read
from models.work import TaskLane
from services.tasks.turns import Turns

PROMOTED_AT_ONCE = 2000

# For sessions other than `db.queue_session`, which says why.
_WALK = text("""
select set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
    set_config('enable_sort', 'off', true), set_config('enable_incremental_sort', 'off', true),
    set_config('enable_mergejoin', 'off', true), set_config('enable_hashjoin', 'off', true)
""")

# What each part is for:
# - ripe, promoted: a task in the future is not `due`, whatever the clock says later, until somebody says so: here, the
#   longest waiting first. What this statement promotes the next one claims.
# - at_once: but where nothing else waits in the lane and what ripened there is one batch, it is that batch: most tasks
#   that were put off are found by a claimer who has nothing else to do. In the order the next claim would give.
# - levels: the priorities of this lane, highest first; the eighth is the last one looked at.
# - visits: of each priority up to a batch of merchants, beginning after the last one served (lap 0), then round from
#   the start up to and with that one (lap 1). '-' stands for the platform's own tasks, '' is before everybody.
# - candidates: the oldest tasks of each, locked for the length of this statement only; other claims take those behind
#   them. Of a merchant as many as could be needed: four batches in all, less of lower priorities, which get less.
# - fit: a task whose process died under it before (`deaths`) is taken alone, so that one that kills its process cannot
#   drag a batch of innocents into the dead letters with it. It is taken when it is first, and in every other claim:
#   it has waited for its dead process already, and alone it delays the others by itself only.
# - chosen: strides (C. Waldspurger, "Stride Scheduling", 1995): each priority gets four times what the next lower one
#   gets and none is starved; `number` carries fractions over from claim to claim, for batches as small as one.
_CLAIM = """
with recursive ripe as materialized (
    select id, lane, priority, coalesce(merchant_id, '-') as merchant, deaths, run_at from scheduled_tasks
    where state = 'pending' and not due and run_at <= :now
    order by run_at limit :promoted_at_once for update skip locked
), levels as (
    (select priority, 0 as level from scheduled_tasks where {ready} order by priority desc limit 1)
    union all
    select lower.priority, levels.level + 1
    from levels cross join lateral (
        select priority from scheduled_tasks where {ready} and priority < levels.priority
        order by priority desc limit 1) lower
    where levels.level < 7
), visits as (
    select priority, level, coalesce(stop.merchant, '') as after, 0 as lap, coalesce(stop.merchant, '') as merchant,
        0 as visit
    from levels left join unnest(cast(:priorities as int[]), cast(:merchants as text[])) as stop (priority, merchant)
        using (priority)
    union all
    select here.priority, here.level, here.after, next.lap, next.merchant, here.visit + 1
    from visits here cross join lateral (
        (select 0 as lap, coalesce(merchant_id, '-') as merchant from scheduled_tasks
        where {ready} and here.lap = 0 and priority = here.priority and coalesce(merchant_id, '-') > here.merchant
        order by coalesce(merchant_id, '-') limit 1)
        union all
        (select 1, coalesce(merchant_id, '-') from scheduled_tasks
        where {ready} and priority = here.priority and coalesce(merchant_id, '-') <= here.after
            and coalesce(merchant_id, '-') > case here.lap when 0 then '' else here.merchant end
        order by coalesce(merchant_id, '-') limit 1)
        order by lap limit 1) next
    where here.visit < :limit
), at_once as (
    select mine.id, mine.merchant,
        dense_rank() over (
            partition by mine.priority order by mine.merchant <= coalesce(stop.merchant, ''), mine.merchant) as visit,
        row_number() over (partition by mine.priority, mine.merchant order by mine.run_at, mine.id) as turn
    from ripe mine left join unnest(cast(:priorities as int[]), cast(:merchants as text[])) as stop (priority, merchant)
        using (priority)
    where mine.lane = :lane and {at_once} and not exists (select from levels)
        and (select count(*) <= :limit and (max(deaths) = 0 or count(*) = 1) from ripe where lane = :lane)
), promoted as (
    update scheduled_tasks set due = true
    where id = any(array(select id from ripe except select id from at_once))
), shares as (
    select priority, level, merchant, visit,
        least(:limit, ceil(4.0 * :limit / power(4, level) / count(*) over (partition by level)))::int as share
    from visits where visit > 0
), candidates as (
    select task.id, task.run_at, task.deaths, shares.priority, shares.level, shares.merchant, shares.visit
    from shares cross join lateral (
        select id, run_at, deaths from scheduled_tasks
        where {ready} and priority = shares.priority and coalesce(merchant_id, '-') = shares.merchant
        order by priority desc, coalesce(merchant_id, '-'), run_at, id
        limit shares.share for update skip locked) task
), ranked as (
    select *, row_number() over (partition by level, visit order by run_at, id) as turn from candidates
), judged as (
    select *,
        row_number() over suspects_in_turn as place,
        first_value(deaths) over suspects_in_turn as first_deaths
    from ranked
    window suspects_in_turn as (order by :number % 2 = 1 and deaths > 0 desc, priority desc, turn, visit)
), fit as (
    select *, row_number() over (partition by level order by turn, visit) as in_level
    from judged
    where case when first_deaths > 0 then place = 1 else deaths = 0 end
), chosen as (
    select id, merchant, visit, turn from fit
    order by in_level * power(4, level)::bigint - :number % power(4, level)::bigint, level desc
    limit :limit
), batch as (
    select * from chosen union all select * from at_once
), taken as (
    update scheduled_tasks
    set state = 'running', due = true, attempts = attempts + 1, lease_owner = :owner, leased_until = :until
    where id = any(array(select id from batch))
    returning id, kind, merchant_id, payload, attempts, max_attempts, deaths, correlation_id, lease_owner, run_at, key,
        suspect, put_off, priority
)
select ripened.number as promoted, mine.*
from (select count(*) as number from ripe where lane = :lane) ripened
left join (select taken.*, batch.merchant, batch.visit, batch.turn from taken join batch using (id)) mine on true
"""
_READY = "state = 'pending' and due and lane = :lane"
_OF_KINDS = " and kind = any(cast(:kinds as text[]))"


@functools.cache
def claim_statement(of_kinds: bool) -> TextClause:
    """The claim; with `of_kinds` also restricted to the parameter `kinds`."""
    ready = _READY + (_OF_KINDS if of_kinds else "")
    return text(_CLAIM.format(ready=ready, at_once="false" if of_kinds else "true"))


def walk_indexes(session: Session) -> None:
    """For the rest of the transaction: statements on the queue follow its indexes, whatever the statistics say."""
    if not session.info.get(db.WALKS):
        read(session, _WALK)


def claim(
    session: Session,
    *,
    owner: str,
    limit: int,
    lane: TaskLane,
    now: datetime,
    lease: timedelta,
    kinds: Sequence[str] | None,
    turns: Turns,
) -> list[Row[Any]]:
    """Due tasks of a lane, now running under `owner`, in the order to run them; what has become due is promoted."""
    walk_indexes(session)
    priorities, merchants = turns.after()
    parameters = {
        **{"owner": owner, "limit": limit, "lane": lane.value, "until": now + lease, "now": now},
        **{"priorities": priorities, "merchants": merchants, "number": turns.claims},
        "promoted_at_once": PROMOTED_AT_ONCE,
    }
    if kinds is not None:
        parameters["kinds"] = list(kinds)
    rows = _taken(session, parameters)
    turns.took((row.priority, row.visit, row.merchant) for row in rows)
    return sorted(rows, key=lambda row: (-row.priority, row.turn, row.visit))


def _taken(session: Session, parameters: dict[str, Any]) -> list[Row[Any]]:
    """What one claim takes; a second one, where the first took nothing and promoted something."""
    statement = claim_statement("kinds" in parameters)
    rows = read(session, statement, **parameters).all()
    if rows[0].id is None and rows[0].promoted:
        rows = read(session, statement, **parameters).all()
    return [row for row in rows if row.id is not None]
