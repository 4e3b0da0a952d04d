"""SQL of the durable queue's life cycle; `claim_repository` has the claim.

Times come in as parameters: demo and tests live on a clock of their own, which the database does not know.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlmodel import Session

from core.rows import read
from services.tasks.lanes import LANES_WITH_DUE

_INSERT = text("""
insert into scheduled_tasks
    (state, kind, lane, key, merchant_id, payload, priority, run_at, due, max_attempts, correlation_id, created_at)
values ('pending', :kind, :lane, :key, :merchant_id, cast(:payload as jsonb), :priority, :run_at, :run_at <= :now,
    :max_attempts, :correlation_id, :now)
on conflict (key) do nothing
returning id
""")

_INSERT_MANY = text("""
insert into scheduled_tasks
    (state, kind, lane, key, merchant_id, payload, priority, run_at, due, max_attempts, correlation_id, created_at)
select 'pending', :kind, :lane, each.key, :merchant_id, each.payload, 0, each.run_at,
    each.run_at <= :now, :max_attempts, :correlation_id, :now
from jsonb_to_recordset(cast(:rows as jsonb)) as each (key text, payload jsonb, run_at timestamptz)
on conflict (key) do nothing
""")

_HELD = "task.state = 'running' and task.lease_owner = mine.owner and task.attempts = mine.attempts"
_MINE = """unnest(cast(:ids as bigint[]), cast(:owners as text[]), cast(:attempts as int[]))
    as mine (id, owner, attempts)"""

_COMPLETE = text(f"""
with done as (
update scheduled_tasks task
set state = 'done', result = cast(mine.result as jsonb), last_error = '', finished_at = :now,
    lease_owner = null, leased_until = null
from unnest(cast(:ids as bigint[]), cast(:owners as text[]), cast(:attempts as int[]), cast(:results as text[]))
    as mine (id, owner, attempts, result)
where task.id = mine.id and {_HELD}
returning task.id)
select array(select id from done) as kept, array({LANES_WITH_DUE}) as waiting
""")  # noqa: S608  # parts above, no input

_FAIL = text(f"""
update scheduled_tasks task
set state = case when :final or task.attempts >= task.max_attempts then 'dead' else 'pending' end,
    run_at = case when :final or task.attempts >= task.max_attempts then task.run_at else :run_at end,
    due = false, suspect = false, begun = false, put_off = 0,
    finished_at = case when :final or task.attempts >= task.max_attempts then cast(:now as timestamptz) end,
    last_error = :error, lease_owner = null, leased_until = null
from {_MINE}
where task.id = mine.id and {_HELD}
returning task.state
""")  # noqa: S608  # parts above, no input

_GIVE_BACK = text(f"""
update scheduled_tasks task
set state = 'pending', attempts = greatest(task.attempts - 1, 0), run_at = coalesce(:run_at, task.run_at),
    due = cast(:run_at as timestamptz) is null or :run_at <= :now,
    suspect = task.suspect and cast(:reason as text) is null, begun = false,
    last_error = coalesce(:reason, task.last_error), lease_owner = null, leased_until = null
from {_MINE}
where task.id = mine.id and {_HELD}
returning task.id
""")  # noqa: S608  # parts above, no input

_PUT_OFF = text(f"""
update scheduled_tasks task
set state = case when task.put_off + 1 >= :most then 'dead' else 'pending' end,
    run_at = case when task.put_off + 1 >= :most then task.run_at else :run_at end,
    due = false, suspect = false, begun = false,
    attempts = greatest(task.attempts - 1, 0), put_off = task.put_off + 1,
    finished_at = case when task.put_off + 1 >= :most then cast(:now as timestamptz) end,
    last_error = :reason, lease_owner = null, leased_until = null
from {_MINE}
where task.id = mine.id and {_HELD}
returning task.state
""")  # noqa: S608  # parts above, no input

_BEGIN = text(f"""
update scheduled_tasks task set begun = true
from {_MINE}
where task.id = mine.id and {_HELD}
""")  # noqa: S608  # parts above, no input

_CLEAR = text(f"""
update scheduled_tasks task set deaths = 0, suspect = false, begun = false
from {_MINE}
where task.id = mine.id and {_HELD}
""")  # noqa: S608  # parts above, no input

_NOTE = text(f"""
update scheduled_tasks task set payload = task.payload || cast(:facts as jsonb)
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
set state = 'pending', attempts = 0, deaths = 0, put_off = 0, run_at = :now, due = true, finished_at = null
where id = :id and state = 'dead' and (cast(:merchant_id as text) is null or merchant_id = :merchant_id)
returning id
""")


def insert(session: Session, **values: Any) -> int | None:
    """The new task's id, or None when its key is taken."""
    new: int | None = read(session, _INSERT, **values).scalar()
    return new


def insert_many(session: Session, **values: Any) -> int:
    """How many of these tasks had no row under their keys yet."""
    return read(session, _INSERT_MANY, **values).rowcount


def complete(
    session: Session, held: dict[str, Any], results: list[str], lanes: list[str], now: datetime
) -> tuple[list[int], list[str]]:
    """Ids whose lease still held, and in which of the lanes a due task waits by now."""
    row = read(session, _COMPLETE, **held, results=results, lanes=lanes, now=now).one()
    return row.kept, row.waiting


def fail(
    session: Session, held: dict[str, Any], *, error: str, final: bool, run_at: datetime, now: datetime
) -> str | None:
    """The state the task is in now; None when its lease was lost."""
    parameters = {**held, "error": error, "final": final, "run_at": run_at, "now": now}
    state: str | None = read(session, _FAIL, **parameters).scalar()
    return state


def give_back(
    session: Session, held: dict[str, Any], *, run_at: datetime | None, reason: str | None, now: datetime
) -> list[int]:
    """Ids that are pending again, the attempt not counted."""
    return read(session, _GIVE_BACK, **held, run_at=run_at, reason=reason, now=now).scalars()


def put_off(
    session: Session, held: dict[str, Any], *, run_at: datetime, reason: str, most: int, now: datetime
) -> str | None:
    """The state the task is in now, dead the `most`-th time; None when its lease was lost."""
    parameters = {**held, "run_at": run_at, "reason": reason, "most": most, "now": now}
    state: str | None = read(session, _PUT_OFF, **parameters).scalar()
    return state


def begin(session: Session, held: dict[str, Any]) -> None:
    read(session, _BEGIN, **held)


def clear(session: Session, held: dict[str, Any]) -> None:
    read(session, _CLEAR, **held)


def note(session: Session, held: dict[str, Any], facts: str) -> bool:
    """Whether it was written: not where the lease was lost."""
    return read(session, _NOTE, **held, facts=facts).first() is not None


def extend(session: Session, held: dict[str, Any], until: datetime) -> list[int]:
    """Ids that are still held, now until `until`."""
    return read(session, _EXTEND, **held, until=until).scalars()


def replay(session: Session, task_id: int, merchant_id: str | None, now: datetime) -> bool:
    """Whether a dead task was made pending again."""
    return read(session, _REPLAY, id=task_id, merchant_id=merchant_id, now=now).first() is not None
