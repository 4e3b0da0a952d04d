"""All SQL of the durable queue's life cycle.

Times come in as parameters: demo and tests live on a clock of their own, which the database does not know.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, TextClause, text
from sqlmodel import Session

# FOR UPDATE cannot stand beside window functions, hence the steps. A window of due rows larger than the batch is
# locked for the length of this statement only: inside it merchants take turns, and a second worker takes the rows
# behind it. `turn` before `place` is the fairness; a task whose process died before (`deaths`) is taken alone, so
# that one that kills its process cannot drag a batch of innocents into the dead letters with it.
_CLAIM = """
with due as (
    select id, merchant_id, priority, run_at, deaths
    from scheduled_tasks
    where state = 'pending' and run_at <= :now {filters}
    order by priority desc, run_at, id
    limit :window
    for update skip locked
), ranked as (
    select id, priority, deaths,
        row_number() over (order by priority desc, run_at, id) as place,
        row_number() over (partition by merchant_id order by priority desc, run_at, id) as turn,
        first_value(deaths) over (order by priority desc, run_at, id) as first_deaths
    from due
), chosen as (
    select id, row_number() over (order by priority desc, turn, place) as position
    from ranked
    where case when first_deaths > 0 then place = 1 else deaths = 0 end
    order by priority desc, turn, place
    limit :limit
)
update scheduled_tasks task
set state = 'running', attempts = task.attempts + 1, lease_owner = :owner, leased_until = :until
from chosen
where task.id = chosen.id
returning task.id, task.kind, task.merchant_id, task.payload, task.attempts, task.max_attempts, task.deaths,
    task.correlation_id, task.lease_owner, task.run_at, task.key, chosen.position
"""
_ONLY = "and kind = any(cast(:only as text[]))"
_WITHOUT = "and kind <> all(cast(:without as text[]))"
_WINDOW = 4


def _claim_statement(only: bool, without: bool) -> TextClause:
    return text(_CLAIM.format(filters=f"{_ONLY if only else ''} {_WITHOUT if without else ''}"))


_CLAIMS = {(only, without): _claim_statement(only, without) for only in (False, True) for without in (False, True)}

_INSERT = text("""
insert into scheduled_tasks
    (state, kind, key, merchant_id, payload, priority, run_at, max_attempts, correlation_id, created_at)
values ('pending', :kind, :key, :merchant_id, cast(:payload as jsonb), :priority, :run_at, :max_attempts,
    :correlation_id, :now)
on conflict (key) do nothing
returning id
""")

_HELD = "task.state = 'running' and task.lease_owner = mine.owner and task.attempts = mine.attempts"
_MINE = """unnest(cast(:ids as bigint[]), cast(:owners as text[]), cast(:attempts as int[]))
    as mine (id, owner, attempts)"""

_COMPLETE = text(f"""
update scheduled_tasks task
set state = 'done', result = cast(mine.result as jsonb), last_error = '', finished_at = :now,
    lease_owner = null, leased_until = null
from unnest(cast(:ids as bigint[]), cast(:owners as text[]), cast(:attempts as int[]), cast(:results as text[]))
    as mine (id, owner, attempts, result)
where task.id = mine.id and {_HELD}
returning task.id
""")  # noqa: S608  # parts above, no input

_FAIL = text(f"""
update scheduled_tasks task
set state = case when :final or task.attempts >= task.max_attempts then 'dead' else 'pending' end,
    run_at = case when :final or task.attempts >= task.max_attempts then task.run_at else :run_at end,
    finished_at = case when :final or task.attempts >= task.max_attempts then cast(:now as timestamptz) end,
    last_error = :error, lease_owner = null, leased_until = null
from {_MINE}
where task.id = mine.id and {_HELD}
returning task.state
""")  # noqa: S608  # parts above, no input

_GIVE_BACK = text(f"""
update scheduled_tasks task
set state = 'pending', attempts = greatest(task.attempts - 1, 0), run_at = coalesce(:run_at, task.run_at),
    last_error = coalesce(:reason, task.last_error), lease_owner = null, leased_until = null
from {_MINE}
where task.id = mine.id and {_HELD}
returning task.id
""")  # noqa: S608  # parts above, no input

_EXTEND = text(f"""
update scheduled_tasks task set leased_until = :until
from {_MINE}
where task.id = mine.id and {_HELD}
returning task.id
""")  # noqa: S608  # parts above, no input

_REPLAY = text("""
update scheduled_tasks
set state = 'pending', attempts = 0, deaths = 0, run_at = :now, finished_at = null
where id = :id and state = 'dead' and (cast(:merchant_id as text) is null or merchant_id = :merchant_id)
returning id
""")


def insert(session: Session, **values: Any) -> int | None:
    """The new task's id, or None when its key is taken."""
    return session.execute(_INSERT, values).scalar()


def claim(
    session: Session,
    *,
    owner: str,
    limit: int,
    now: datetime,
    lease: timedelta,
    kinds: Sequence[str] | None,
    without: Sequence[str],
) -> list[Row[Any]]:
    """Due tasks, now running under `owner`, in the order to run them."""
    parameters: dict[str, Any] = {
        "owner": owner,
        "limit": limit,
        "window": limit * _WINDOW,
        "now": now,
        "until": now + lease,
    }
    if kinds is not None:
        parameters["only"] = list(kinds)
    if without:
        parameters["without"] = list(without)
    rows = session.execute(_CLAIMS[kinds is not None, bool(without)], parameters).all()
    return sorted(rows, key=lambda row: int(row.position))


def complete(session: Session, held: dict[str, Any], results: list[str], now: datetime) -> list[int]:
    """Ids whose lease still held."""
    return list(session.execute(_COMPLETE, {**held, "results": results, "now": now}).scalars())


def fail(
    session: Session, held: dict[str, Any], *, error: str, final: bool, run_at: datetime, now: datetime
) -> str | None:
    """The state the task is in now; None when its lease was lost."""
    parameters = {**held, "error": error, "final": final, "run_at": run_at, "now": now}
    return session.execute(_FAIL, parameters).scalar()


def give_back(session: Session, held: dict[str, Any], *, run_at: datetime | None, reason: str | None) -> list[int]:
    """Ids that are pending again, the attempt not counted."""
    return list(session.execute(_GIVE_BACK, {**held, "run_at": run_at, "reason": reason}).scalars())


def extend(session: Session, held: dict[str, Any], until: datetime) -> list[int]:
    """Ids that are still held, now until `until`."""
    return list(session.execute(_EXTEND, {**held, "until": until}).scalars())


def replay(session: Session, task_id: int, merchant_id: str | None, now: datetime) -> bool:
    """Whether a dead task was made pending again."""
    return session.execute(_REPLAY, {"id": task_id, "merchant_id": merchant_id, "now": now}).first() is not None
