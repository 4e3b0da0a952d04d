"""Use cases of the durable queue: put work in, take it out, settle it. The caller's transaction decides.

`schedule` belongs into the transaction of the effect that makes the work necessary; whoever commits then calls
`core.queue.announce_work`. Everything else is for the runner, in transactions of its own with the system login.
"""

import json
import re
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Row
from sqlmodel import Session

from core import clock, logging
from core.ids import new_correlation_id
from models.work import TaskLane, TaskState
from services.tasks import claim_repository, repository
from services.tasks.backoff import MOST_PAUSES, backoff, pause
from services.tasks.errors import NotStorableError, ResultTooLargeError, Retry, TaskNotFoundError
from services.tasks.lanes import lane_of
from services.tasks.schedules import Schedule, slot_key
from services.tasks.schemas import ClaimedTask, Completed, NewTask, TaskResult
from services.tasks.turns import Turns

LEASE = timedelta(seconds=60)
MAX_ATTEMPTS = 5
MAX_DEATHS = 3
MAX_RESULT_BYTES = 64 * 1024
MAX_ERROR_CHARACTERS = 4000

_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def schedule(
    session: Session,
    *,
    kind: str,
    merchant_id: str | None = None,
    key: str | None = None,
    payload: dict[str, Any] | None = None,
    run_at: datetime | None = None,
    priority: int = 0,
    max_attempts: int = MAX_ATTEMPTS,
    lane: TaskLane | None = None,
) -> int | None:
    """Put a task into the caller's transaction; its id, or None when a task with this `key` exists already.

    A key stays taken for as long as its row is kept (a week after it is done; dead ones until replayed). Works in
    a system session and in the merchant's own tenant session, where row-level security refuses another merchant's
    id. Higher `priority` runs first (`claim` says how far). `run_at` is aware; None means now. `lane` is the kind's
    own unless given. The correlation id of the request or task under way goes along. Raises `NotStorableError` for a
    payload that is not plain JSON.
    """
    now = clock.now()
    return repository.insert(
        session,
        kind=kind,
        lane=(lane or lane_of(kind)).value,
        key=key,
        merchant_id=merchant_id,
        payload=encode(payload or {}),
        priority=priority,
        run_at=run_at or now,
        max_attempts=max_attempts,
        correlation_id=logging.correlation_id() or new_correlation_id(),
        now=now,
    )


def schedule_many(session: Session, *, kind: str, merchant_id: str, wanted: Sequence[NewTask]) -> int:
    """Put many tasks of one kind into the caller's transaction, in one statement; how many had no row yet.

    As `schedule` for each of them, with its key. Payloads are the program's own: plain JSON without NUL.
    """
    if not wanted:
        return 0
    rows = [{"key": each.key, "payload": each.payload, "run_at": each.run_at} for each in wanted]
    return repository.insert_many(
        session,
        kind=kind,
        lane=lane_of(kind).value,
        merchant_id=merchant_id,
        max_attempts=MAX_ATTEMPTS,
        correlation_id=logging.correlation_id() or new_correlation_id(),
        now=clock.now(),
        rows=orjson.dumps(rows).decode(),
    )


def schedule_next(session: Session, schedule_of: Schedule, merchant_id: str) -> None:
    """Put the schedule's run in the merchant's next period into the caller's transaction, whoever else does it too.

    For a merchant whom the Sentinel's schedules do not walk. Idempotent by the period's key.
    """
    slot = schedule_of.slot(merchant_id, clock.now()) + 1
    schedule(
        session,
        kind=schedule_of.kind,
        merchant_id=merchant_id,
        key=slot_key(schedule_of.kind, merchant_id, slot),
        payload={"slot": slot, "trigger": "schedule"},
        run_at=schedule_of.begins(merchant_id, slot),
        priority=schedule_of.priority,
    )


def claim(
    session: Session,
    owner: str,
    limit: int,
    kinds: Sequence[str] | None = None,
    lease: timedelta = LEASE,
    *,
    lane: TaskLane | None = None,
    turns: Turns | None = None,
) -> list[ClaimedTask]:
    """Up to `limit` due tasks, leased to the caller once it commits; no other claim gets them until `lease` is over.

    Fair between merchants: within a priority they take turns, each its longest-waiting task first, however many
    tasks one of them has; a claimer that keeps its `turns` goes on where it stopped, so with M merchants waiting
    each is served once in M ÷ `limit` claims. Between priorities: each gets four times what the next lower one gets,
    and what one leaves goes to the others, so urgent work passes a backlog and a flood of it starves nobody. Within
    the batch the higher priority runs first. A task whose process died under it comes alone, in every other claim.

    Costs milliseconds whatever waits. A batch may be smaller than `limit` while more waits; only an empty one says
    that nothing is left to claim. Of `lane`, or with None of the first lane that has something. `kinds` restricts
    further, and walks past all others: for tests and tools. System login only.
    """
    now, turns = clock.now(), turns or Turns()
    for each in (lane,) if lane else tuple(TaskLane):
        rows = claim_repository.claim(
            session,
            owner=f"{owner[:46]}:{secrets.token_hex(8)}",  # one name a claim: a fence nobody can hold twice
            limit=limit,
            lane=each,
            now=now,
            lease=lease,
            kinds=kinds,
            turns=turns,
        )
        if rows:
            return [_claimed(row) for row in rows]
    return []


def complete(session: Session, results: Sequence[TaskResult]) -> Completed:
    """Mark tasks done, one statement for all; which were still ours, and where work waits now.

    A result that comes after its lease was lost changes nothing: somebody else runs the task. Raises
    `ResultTooLargeError` (over 64 kB) or `NotStorableError` before anything is written.
    """
    encoded = [encode_result(entry.result) for entry in results]
    held = _held([entry.task for entry in results])
    kept, waiting = repository.complete(session, held, encoded, list(TaskLane), clock.now())
    return Completed(frozenset(kept), frozenset(map(TaskLane, waiting)))


def fail(
    session: Session, task: ClaimedTask, error: str, *, chance: Callable[[], float], final: bool = False
) -> TaskState | None:
    """Record a failure: pending again after a jittered wait, or dead when attempts are used up or `final`.

    `chance` gives random numbers in [0, 1). Returns the new state, None when the lease was lost meanwhile.
    """
    now = clock.now()
    state = repository.fail(
        session,
        _held([task]),
        error=_readable(error),
        final=final,
        run_at=now + backoff(task.attempts, chance()),
        now=now,
    )
    return None if state is None else TaskState(state)


def postpone(session: Session, task: ClaimedTask, *, run_at: datetime, reason: str) -> bool:
    """Give a task back to run at `run_at` without counting the attempt; False when the lease was lost."""
    readable = _readable(reason)
    return bool(repository.give_back(session, _held([task]), run_at=run_at, reason=readable, now=clock.now()))


def put_off(session: Session, task: ClaimedTask, asked: Retry, *, chance: Callable[[], float]) -> TaskState | None:
    """What a handler's `Retry` asks for, without counting the attempt; the new state, None when the lease was lost.

    Dead, for a person to see, once somebody has been away too often in a row. `chance` as in `fail`.
    """
    now = clock.now()
    if asked.after is None:
        kept = postpone(session, task, run_at=asked.at or now, reason=str(asked))
        return TaskState.PENDING if kept else None
    state = repository.put_off(
        session,
        _held([task]),
        run_at=now + pause(asked.after, task.put_off, chance(), asked.at_least),
        reason=_readable(str(asked)),
        most=MOST_PAUSES,
        now=now,
    )
    return None if state is None else TaskState(state)


def begin(session: Session, task: ClaimedTask) -> None:
    """Write down that a suspect begins, so that its process' death is counted to it and to no other."""
    repository.begin(session, _held([task]))


def clear(session: Session, task: ClaimedTask) -> None:
    """A task got further than where its process had died: it was not what killed it.

    For long ones, which run beside many others in one process and go on where they were: without it three processes
    that die of their neighbours would end a task that does its work.
    """
    repository.clear(session, _held([task]))


def release(session: Session, tasks: Sequence[ClaimedTask]) -> int:
    """Give unfinished tasks back as they were, for others to claim at once; how many were still ours."""
    if not tasks:
        return 0
    return len(repository.give_back(session, _held(tasks), run_at=None, reason=None, now=clock.now()))


def note(session: Session, task: ClaimedTask, **facts: Any) -> bool:
    """Add to the payload of a task what its next run must know, whatever becomes of this one.

    False when the lease was lost meanwhile: somebody else runs the task.
    """
    return repository.note(session, _held([task]), encode(facts))


def extend_lease(session: Session, tasks: Sequence[ClaimedTask], lease: timedelta = LEASE) -> frozenset[int]:
    """Hold on to `tasks` for another `lease`; the ids still held. What is missing belongs to somebody else now."""
    return frozenset(repository.extend(session, _held(tasks), clock.now() + lease)) if tasks else frozenset()


def replay(session: Session, task_id: int, *, merchant_id: str | None = None) -> None:
    """Run a dead task again, with fresh attempts. Give `merchant_id` when a merchant asks.

    Raises `TaskNotFoundError` when there is no such dead task, or it is another merchant's.
    """
    if not repository.replay(session, task_id, merchant_id, clock.now()):
        raise TaskNotFoundError("There is no dead task with this number.")


def encode(value: dict[str, Any]) -> str:
    """`value` as JSON text that `jsonb` accepts. Raises `NotStorableError`."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise NotStorableError(f"A task's data must be plain JSON: {type(error).__name__}.") from error
    if "\\u0000" in text and _NUL.search(text):  # the plain look is what keeps 50 MB cheap
        raise NotStorableError("A task's data must not contain NUL characters.")
    return text


def encode_result(value: dict[str, Any]) -> str:
    """A handler's result as JSON text. Raises `ResultTooLargeError` above 64 kB, `NotStorableError`."""
    text = encode(value)
    if (size := len(text.encode())) > MAX_RESULT_BYTES:
        raise ResultTooLargeError(f"The result has {size} bytes, at most {MAX_RESULT_BYTES} are kept.")
    return text


def _claimed(row: Row[Any]) -> ClaimedTask:
    return ClaimedTask(
        id=row.id,
        kind=row.kind,
        merchant_id=row.merchant_id,
        payload=row.payload,
        attempts=row.attempts,
        max_attempts=row.max_attempts,
        deaths=row.deaths,
        correlation_id=row.correlation_id,
        lease_owner=row.lease_owner,
        run_at=row.run_at,
        key=row.key,
        suspect=row.suspect,
        put_off=row.put_off,
    )


def _held(tasks: Sequence[ClaimedTask]) -> dict[str, Any]:
    return {
        "ids": [task.id for task in tasks],
        "owners": [task.lease_owner for task in tasks],
        "attempts": [task.attempts for task in tasks],
    }


def _readable(error: str) -> str:
    """An error message fit for a person and for PostgreSQL: no secrets, no NUL, no lone surrogate, bounded."""
    text = logging.redact(error).replace("\x00", "").encode(errors="replace").decode()
    return text[:MAX_ERROR_CHARACTERS]
