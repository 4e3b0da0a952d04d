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
from services.tasks.schedules import HUNT, slot_of

SLOTS = 4
MEMORY_SECONDS = 3.0
"""How long a reading of the database serves: several scrapers, and a page beside them, cost one reading."""

log = logging.getLogger(__name__)


def read_platform(session: Session) -> Platform:
    """Queue, intake, hunts and leader as they are now; ages in seconds of `core.clock`. System login only.

    Hunt lag is the age of the longest unhunted merchant's last scheduled hunt, told by the tasks of the last four
    slots: where none of them is done it is the age of the connection, at most two days. Tenant tables, where each
    hunt is written down, are not this login's to see.
    """
    now = clock.now()
    repository.limit_patience(session)
    present = slot_of(now, HUNT.every)
    events = repository.unhandled(session)
    hunts = repository.hunts(session, [present - back for back in range(SLOTS)], now - SLOTS * HUNT.every)
    return Platform(
        queued=tuple(
            Queued(row.kind, row.lane, row.waiting, row.due, _age(row.oldest, now))
            for row in repository.queued(session, now)
        ),
        running=repository.running(session),
        dead=repository.dead(session),
        unhandled_events=events.events,
        intake_lag_seconds=_age(events.oldest, now),
        connected_accounts=hunts.accounts,
        hunt_lag_seconds=_age(hunts.oldest, now) if hunts.oldest else None,
        leaders=repository.leaders(session),
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

    `phantom_database_up` tells which. Never raises for PostgreSQL's sake.
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
        log.warning("metrics.database_away", extra={"facts": {"error": type(error).__name__}})
        yield Reading("phantom_database_up", "Whether PostgreSQL answered this scrape's questions", 0)
        return
    yield Reading("phantom_database_up", "Whether PostgreSQL answered this scrape's questions", 1)
    yield from _of(found)


def _of(found: Platform) -> Iterator[Reading]:
    for lane in TaskLane:
        mine = [each for each in found.queued if each.lane == lane]
        oldest = max((each.oldest_seconds for each in mine), default=0.0)
        label = {"lane": lane.value}
        yield Reading("phantom_queue_due", "Tasks that are due and unclaimed", sum(each.due for each in mine), label)
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
