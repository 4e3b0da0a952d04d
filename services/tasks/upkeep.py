"""What keeps the queue going without anyone watching: schedules, rescued leases, pruning; and how it looks."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from sqlmodel import Session

from core import clock
from models.work import TaskLane, TaskState
from services.tasks import upkeep_repository as repository
from services.tasks.backoff import ceiling
from services.tasks.schedules import Schedule, slot_key
from services.tasks.schemas import ExpiredLease, QueueState, Slot, TaskCount, TaskView
from services.tasks.service import LEASE, MAX_ATTEMPTS, MAX_DEATHS

ABSURD_LEASE = LEASE + timedelta(seconds=10)
KEEP_DONE = timedelta(days=7)
COUNTED = 10_000


def lanes_with_due(session: Session, lanes: Iterable[TaskLane] = TaskLane) -> set[TaskLane]:
    """In which of these lanes a due task waits unclaimed."""
    return repository.lanes_with_due(session, lanes, clock.now())


def next_due(session: Session, lane: TaskLane, within: timedelta) -> datetime | None:
    """When the next task of a lane falls due, if that is soon; a moment that has passed already says: now."""
    return repository.next_due(session, lane, clock.now() + within)


def has_open(session: Session, merchant_id: str, key_start: str) -> bool:
    """Whether a task of this merchant whose key begins like this waits or runs; of those that are over none counts."""
    return repository.has_open(session, merchant_id, key_start)


def schedule_present(session: Session, schedules: Sequence[Schedule], now: datetime) -> Counter[str]:
    """A task of each schedule for each merchant with a connected account whose present period has none; kinds of all.

    The key `kind:merchant:slot` is what makes it safe from restarts and from a second Sentinel, whoever asks how
    often. Of periods that were missed the present one is caught up, at once, and no other. Where connecting does the
    same, accounts connected within the period are left out. None where this installation does without it. System login
    only.
    """
    merchants = repository.list_connected(session)
    wanted = [schedule for schedule in schedules if schedule.is_on]
    slots = [_slot(schedule, each, schedule.slot(each, now)) for schedule in wanted for each in merchants]
    return Counter(repository.schedule_slots(session, slots, now) if slots else ())


def _slot(schedule: Schedule, merchant: str, number: int) -> Slot:
    return Slot(
        kind=schedule.kind,
        priority=schedule.priority,
        merchant_id=merchant,
        number=number,
        key=slot_key(schedule.kind, merchant, number),
        began=schedule.begins(merchant, number),
        done_by_connecting=schedule.done_by_connecting,
    )


def newest_created_at(session: Session) -> datetime | None:
    """The latest moment at which one of the thousand newest tasks was made: the clock has been there."""
    return repository.newest_created_at(session)


def redate(session: Session, *, seen: datetime, now: datetime) -> int:
    """The clock reads `now` after it has read `seen`, which is later: let nobody wait for that time to come again.

    What was due at `seen` is due now, in its order. A failed task's wait counts from `now` on. Returns how many tasks
    were changed; a second call changes none.
    """
    return repository.redate_due(session, seen, now) + repository.redate_waits(
        session,
        back=seen - now,
        longest=[now + ceiling(attempts) for attempts in range(1, MAX_ATTEMPTS + 1)],
    )


def list_expired(session: Session, limit: int = 500) -> list[ExpiredLease]:
    """Leases that are over, or that end so late that the clock must have jumped back since they were given."""
    now = clock.now()
    return repository.list_expired(session, now=now, absurd=now + ABSURD_LEASE, limit=limit)


def rescue(session: Session, leases: Sequence[ExpiredLease]) -> int:
    """Take these tasks from their dead processes: pending again in their old place, or dead after the third death.

    The attempt is not counted; the death is, to the task that ran: the only one its process held, or a suspect that
    had begun. Of several none is blamed yet: all are suspects, and the death counts to the one that is found to have
    begun at the next. A lease that was renewed since it was listed is left alone.
    Returns how many were taken.
    """
    return repository.rescue(session, leases, max_deaths=MAX_DEATHS, now=clock.now()) if leases else 0


def what_is_old(session: Session) -> frozenset[str]:
    """What is worth pruning: `tasks`, `sessions`; one statement, because most of the time nothing is."""
    now = clock.now()
    return frozenset(repository.old(session, done_before=now - KEEP_DONE, now=now))


def prune_done(session: Session, limit: int) -> int:
    """Delete up to `limit` tasks done more than seven days ago; how many. Dead ones wait for a person."""
    return repository.prune(session, "scheduled_tasks", before=clock.now() - KEEP_DONE, limit=limit)


def prune_sessions(session: Session, limit: int) -> int:
    """Delete up to `limit` expired browser sessions and as many OAuth states; how many in all."""
    return sum(
        repository.prune(session, table, before=clock.now(), limit=limit) for table in ("sessions", "oauth_states")
    )


def queue_state(session: Session, merchant_id: str | None, *, recent: int = 50) -> QueueState:
    """The queue of one merchant (tenant or system session), or of the platform (None, system session).

    Of each state at most `COUNTED` tasks are counted, a merchant's longest waiting among them: a page that looks must
    cost the same whatever lies there. The platform's own figures for machines are in services/operations.
    """
    rows = repository.counts(session, merchant_id, clock.now(), COUNTED)
    due: list[datetime] = [row.oldest for row in rows if row.oldest is not None]
    return QueueState(
        counts=tuple(TaskCount(row.kind, TaskState(row.state), row.total) for row in rows),
        oldest_due_at=min(due, default=None),
        recent=tuple(
            TaskView(**{**row._mapping, "state": TaskState(row.state)})
            for row in repository.recent(session, merchant_id, recent)
        ),
    )
