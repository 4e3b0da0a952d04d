"""The scheduler: `python -m jobs.sentinel`. Any number may run, one leads.

It makes no work happen twice: each run has a slot, and each merchant's slot a key, so restarts, a second leader
and a clock that jumps all meet in the same row. What was missed while nobody scheduled is caught up once.
"""

import argparse
import logging
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy.exc import OperationalError
from sqlmodel import Session

from core import clock, db, queue
from core.crash_points import crash_point
from jobs import boot, janitor, registry
from jobs.leadership import Leadership
from services.tasks import upkeep
from services.tasks.schedules import SCHEDULES, Schedule, slot_of

TICK_SECONDS = 1.0
MINUTE = timedelta(minutes=1)

log = logging.getLogger(__name__)


def due_slots(last: int | None, now: datetime, every: timedelta) -> list[int]:
    """The slots to run now when `last` was run last: the present one, or none. Missed ones are caught up by it.

    A clock that jumped back gives none: those slots were run.
    """
    current = slot_of(now, every)
    return [current] if last is None or current > last else []


@dataclass
class Sentinel:
    """What a leader remembers between ticks; forgetting it costs a few statements and nothing else."""

    watch: janitor.LeaseWatch = field(default_factory=janitor.LeaseWatch)
    _last: dict[str, int] = field(default_factory=dict)
    _minute: int | None = None

    def tick(self, now: datetime) -> None:
        """Schedule what is due, heal what broke, wake workers for what waits. Once a minute also clean up."""
        minute = due_slots(self._minute, now, MINUTE)
        with db.system_session() as session:
            for schedule in SCHEDULES:
                # Each minute the present slot again, for merchants who connected since; the key makes it harmless.
                for slot in due_slots(None if minute else self._last.get(schedule.kind), now, schedule.every):
                    self._schedule(session, schedule, slot, now)
            janitor.rescue(session, self.watch)
            if minute:  # an event and its task commit together, so this finds something after accidents only
                janitor.sweep(session)
            waiting = _waiting_queues(session)
        crash_point("sentinel.scheduled")
        if minute:
            janitor.prune()
            self._minute = minute[0]
        for name in waiting:
            queue.announce_work(name)

    def _schedule(self, session: Session, schedule: Schedule, slot: int, now: datetime) -> None:
        began = clock.from_timestamp(slot * schedule.every.total_seconds())
        new = upkeep.schedule_slot(
            session,
            kind=schedule.kind,
            slot=slot,
            run_at=now,
            priority=schedule.priority,
            connected_before=began if schedule.done_by_connecting else None,
        )
        self._last[schedule.kind] = slot
        if new:
            log.info("sentinel.scheduled", extra={"facts": {"kind": schedule.kind, "tasks": new}})


def _waiting_queues(session: Session) -> list[str]:
    """Queues with work that is due and unclaimed: retries, delayed tasks, and whatever Redis forgot."""
    return [lane.queue for lane in registry.LANES if upkeep.has_due(session, lane.name)]


def tick(now: datetime) -> None:
    """One tick without memory, for tests and for the demo's fast-forwarded history.

    It schedules each present slot, sweeps, prunes and announces; it rescues nothing, because from one look a dead
    process cannot be told from a clock that jumped (`janitor.rescue` does it where that is known).
    """
    Sentinel().tick(now)


def lead(stopping: threading.Event, leadership: Leadership | None = None) -> None:
    """Tick once a second while leading, wait for leadership otherwise, until `stopping`."""
    leadership = leadership or Leadership()
    sentinel = Sentinel()
    while not stopping.is_set():
        try:
            if leadership.held():
                sentinel.tick(clock.now())
        except OperationalError as error:
            # PostgreSQL restarts or is away: nothing can be scheduled and nothing is lost; next second again.
            log.warning("sentinel.database_away", extra={"facts": {"error": type(error.orig).__name__}})
        stopping.wait(TICK_SECONDS)
    leadership.release()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="jobs.sentinel", description="Schedule hunts and pulses, and heal the queue.")
    boot.add_metrics_options(parser)
    given = parser.parse_args(arguments)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    return boot.run("Sentinel", lambda: lead(stopping), given)


if __name__ == "__main__":
    sys.exit(main())
