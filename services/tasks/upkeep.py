"""What keeps the queue going without anyone watching: schedules, rescued leases, pruning; and how it looks."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlmodel import Session

from core import clock
from models.work import TaskLane, TaskState
from services.tasks import upkeep_repository as repository
from services.tasks.schemas import ExpiredLease, QueueState, TaskCount, TaskView
from services.tasks.service import MAX_DEATHS

ABSURD_LEASE = timedelta(minutes=30)
KEEP_DONE = timedelta(days=7)


def has_due(session: Session, lane: TaskLane) -> bool:
    """Whether a due task of this lane waits unclaimed."""
    return repository.has_due(session, lane, clock.now())


def schedule_slot(
    session: Session,
    *,
    kind: str,
    slot: int,
    run_at: datetime,
    priority: int = 0,
    connected_before: datetime | None = None,
) -> int:
    """A task of `kind` for each merchant with a connected account, once a slot, whoever asks how often.

    The key `kind:merchant:slot` is what makes it safe from restarts and from a second Sentinel. Accounts connected at
    `connected_before` or later are left out: connecting has done it for them. Returns how many tasks are new. System
    login only.
    """
    return repository.schedule_slot(
        session, kind=kind, slot=slot, priority=priority, now=run_at, connected_before=connected_before
    )


def list_expired(session: Session, limit: int = 500) -> list[ExpiredLease]:
    """Leases that are over, or that end so late that the clock must have jumped back since they were given."""
    now = clock.now()
    return repository.list_expired(session, now=now, absurd=now + ABSURD_LEASE, limit=limit)


def rescue(session: Session, leases: Sequence[ExpiredLease]) -> int:
    """Take these tasks from their dead processes: pending again, or dead after the third such death.

    The attempt is not counted, the death is. A lease that was renewed since it was listed is left alone.
    Returns how many were taken.
    """
    return repository.rescue(session, leases, max_deaths=MAX_DEATHS, now=clock.now()) if leases else 0


def prune_done(session: Session, limit: int) -> int:
    """Delete up to `limit` tasks done more than seven days ago; how many. Dead ones wait for a person."""
    return repository.prune(session, "scheduled_tasks", before=clock.now() - KEEP_DONE, limit=limit)


def prune_sessions(session: Session, limit: int) -> int:
    """Delete up to `limit` expired browser sessions and as many OAuth states; how many in all."""
    return sum(
        repository.prune(session, table, before=clock.now(), limit=limit) for table in ("sessions", "oauth_states")
    )


def queue_state(session: Session, merchant_id: str | None, *, recent: int = 50) -> QueueState:
    """The queue of one merchant (tenant or system session), or of the platform (None, system session)."""
    rows = repository.counts(session, merchant_id, clock.now())
    due: list[datetime] = [row.oldest for row in rows if row.oldest is not None]
    return QueueState(
        counts=tuple(TaskCount(row.kind, TaskState(row.state), row.total) for row in rows),
        oldest_due_at=min(due, default=None),
        recent=tuple(
            TaskView(**{**row._mapping, "state": TaskState(row.state)})
            for row in repository.recent(session, merchant_id, recent)
        ),
    )
