"""The platform at a moment, and all of it as Prometheus' text."""

import functools
import importlib.metadata
import logging
import platform
import threading
import time
from collections.abc import Iterator
from datetime import datetime

from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session

from core import clock, db, metrics
from core.config import settings
from core.metrics import Reading
from models.work import TaskLane
from services.operations import repository
from services.operations.schemas import Platform, Queued
from services.tasks import depth
from services.tasks.schedules import HUNT, slot_of

SLOTS = 4
COUNTED = 10_000
"""Of each thing that waits no more are counted: beyond it, "many" is all that a number would say."""
MEMORY_SECONDS = 3.0
"""How long a reading of the database serves: several scrapers, and a page beside them, cost one reading."""

_TOO_SLOW = "57014"  # a statement that was cancelled: by its time limit, here

log = logging.getLogger(__name__)


def read_platform(session: Session) -> Platform:
    """Queue, intake, hunts and leader as they are now; ages in seconds of `core.clock`. System login only.

    Hunt lag is the age of the longest unhunted merchant's last scheduled hunt, told by the tasks of the last four
    slots: where none of them is done it is the age of the connection, at most two days. Tenant tables, where each
    hunt is written down, are not this login's to see. Of tasks and events at most `COUNTED` are counted of each sort.
    """
    now = clock.now()
    repository.limit_patience(session)
    present = slot_of(now, HUNT.every)
    events = repository.unhandled(session, COUNTED)
    hunts = repository.hunts(session, [present - back for back in range(SLOTS)], now - SLOTS * HUNT.every)
    running, dead, leaders = repository.running(session), repository.dead(session, COUNTED), repository.leaders(session)
    return Platform(  # the queue last: its statements bind the rest of the transaction to indexes
        queued=tuple(Queued(row.kind, row.lane, row.waiting, row.due) for row in depth.waiting(session, now, COUNTED)),
        oldest_seconds={lane: _age(oldest, now) for lane, oldest in depth.oldest_due(session, now, COUNTED).items()},
        running=running,
        dead=dead,
        unhandled_events=events.events,
        intake_lag_seconds=_age(events.oldest, now),
        connected_accounts=hunts.accounts,
        hunt_lag_seconds=_age(hunts.oldest, now) if hunts.oldest else None,
        leaders=leaders,
    )


def _age(moment: datetime | None, now: datetime) -> float:
    return max((now - moment).total_seconds(), 0.0) if moment else 0.0


class _Memory:
    """The last reading, so that a burst of scrapes asks PostgreSQL once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until, self._readings = 0.0, tuple[Reading, ...]()

    def readings(self) -> tuple[Reading, ...]:
        with self._lock:
            if time.monotonic() >= self._until:
                self._readings = tuple(_readings())
                self._until = time.monotonic() + MEMORY_SECONDS
            return self._readings

    def forget(self) -> None:
        with self._lock:
            self._until = 0.0


_memory = _Memory()


def exposition() -> bytes:
    """What is counted on this host and what PostgreSQL says now; without PostgreSQL only the first.

    `phantom_database_up` and `phantom_readings_complete` tell which. Never raises for PostgreSQL's sake.
    """
    return metrics.render(_memory.readings())


def forget() -> None:
    """Read anew at the next scrape; for tests."""
    _memory.forget()


@functools.cache
def _versions() -> dict[str, str]:
    """What a change of behaviour may come from; a checkout knows no number of its own."""
    return {"python": platform.python_version(), "stripe_sdk": importlib.metadata.version("stripe")}


def _readings() -> Iterator[Reading]:
    yield Reading("phantom_info", "What runs here", 1, {"mode": settings().phantom_mode.value, **_versions()})
    try:
        with db.system_session() as session:
            found = read_platform(session)
    except SQLAlchemyError as error:
        slow = getattr(getattr(error, "orig", None), "sqlstate", None) == _TOO_SLOW
        event = "metrics.database_slow" if slow else "metrics.database_away"
        log.warning(event, extra={"facts": {"error": type(error).__name__}})
        yield from _state_of_database(up=slow, complete=False)
        return
    yield from _state_of_database(up=True, complete=True)
    yield from _of(found)


def _state_of_database(*, up: bool, complete: bool) -> Iterator[Reading]:
    """One that is slow is there: to call it away would send people to the wrong place."""
    yield Reading("phantom_database_up", "Whether PostgreSQL answers", int(up))
    yield Reading("phantom_readings_complete", "Whether it answered this scrape's questions in time", int(complete))


def _of(found: Platform) -> Iterator[Reading]:
    for lane in TaskLane:
        due = sum(each.due for each in found.queued if each.lane == lane)
        oldest = found.oldest_seconds.get(lane, 0.0)
        label = {"lane": lane.value}
        yield Reading("phantom_queue_due", f"Tasks that are due and unclaimed, {COUNTED} or more as that", due, label)
        yield Reading("phantom_queue_oldest_seconds", "How long the oldest due task has waited", oldest, label)
    for each in found.queued:
        yield Reading("phantom_tasks_waiting", "Tasks to run, due or later", each.waiting, {"kind": each.kind})
    for kind, tasks in found.running.items():
        yield Reading("phantom_tasks_running", "Tasks a worker holds", tasks, {"kind": kind})
    for kind, tasks in found.dead.items():
        yield Reading("phantom_tasks_dead", "Tasks that gave up and wait for a person", tasks, {"kind": kind})
    yield Reading("phantom_dead_letters", "The same, all kinds together", sum(found.dead.values()))
    yield Reading("phantom_intake_unhandled", "Stored events that are not handled yet", found.unhandled_events)
    yield Reading("phantom_intake_lag_seconds", "Age of the oldest of them", found.intake_lag_seconds)
    yield Reading("phantom_connected_merchants", "Merchants with a connected account", found.connected_accounts)
    if found.hunt_lag_seconds is not None:
        yield Reading(
            "phantom_hunt_lag_seconds",
            "Since the last scheduled hunt of the merchant who waits longest; at most two days are looked back",
            found.hunt_lag_seconds,
        )
    yield Reading("phantom_leader", "How many Sentinels lead: 1, or 0 when nothing is scheduled", found.leaders)
