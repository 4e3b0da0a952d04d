"""The scheduler: `python -m jobs.sentinel`. Any number may run, one leads.

It makes no work happen twice: each run has a slot, and each merchant's slot a key, so restarts, a second leader
and a clock that jumps all meet in the same row. What was missed while nobody scheduled is caught up once. When the
clock is set back, what was due before is not made to wait for that time again.
"""

import argparse
import logging
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy.exc import DBAPIError, OperationalError
from sqlmodel import Session

from core import clock, db, queue
from core.crash_points import crash_point
from jobs import boot, janitor, registry
from jobs.leadership import Leadership
from services.tasks import upkeep
from services.tasks.schedules import SCHEDULES, slot_of
from services.vault import hash_keys

TICK_SECONDS = 1.0
MINUTE = timedelta(minutes=1)
JITTER = timedelta(seconds=5)  # clocks of several machines differ by less

log = logging.getLogger(__name__)


@dataclass
class Sentinel:
    """What a leader remembers between ticks; forgetting it costs a few statements and nothing else."""

    watch: janitor.LeaseWatch = field(default_factory=janitor.LeaseWatch)
    _minute: int | None = None
    _seen: datetime | None = None  # the time at the last tick

    def tick(self, now: datetime) -> None:
        """Heal what broke, wake workers for what waits. Once a minute also schedule what is due, and clean up."""
        with db.system_session() as session:
            self._heed_the_clock(session, now)
            minute = slot_of(now, MINUTE)
            new_minute = self._minute is None or minute > self._minute
            janitor.rescue(session, self.watch)
            if new_minute:
                _schedule(session, now)
                hash_keys.keep(session)  # after a rotation: so that the old master key can be dropped
                janitor.sweep(session)  # an event and its task commit together: this finds something after accidents
        with db.queue_session() as session:
            waiting = _waiting_queues(session)
        self._seen = now
        crash_point("sentinel.scheduled")
        for name in waiting:
            queue.announce_work(name)
        if new_minute:
            self._minute = minute  # also of a round that fails: it has the next minute, and is not tried each second
            _prune()

    def _heed_the_clock(self, session: Session, now: datetime) -> None:
        """The clock has been where the last tick was; at the first tick, where the newest task was made."""
        seen = self._seen or upkeep.newest_created_at(session)
        if seen is not None and seen - now > JITTER:
            tasks = upkeep.redate(session, seen=seen, now=now)
            self._minute = None
            facts = {"seconds": int((seen - now).total_seconds()), "tasks": tasks}
            log.warning("sentinel.clock_set_back", extra={"facts": facts})


def _schedule(session: Session, now: datetime) -> None:
    """Each minute for the whole present period, for merchants who connected since; the keys make it harmless."""
    for kind, new in upkeep.schedule_present(session, SCHEDULES, now).items():
        log.info("sentinel.scheduled", extra={"facts": {"kind": kind, "tasks": new}})


def _prune() -> None:
    """Delete what is old, last and by itself: whatever hinders that must not keep work waiting, nor end the leader."""
    try:
        janitor.prune()
    except DBAPIError as error:
        log.exception("sentinel.prune_failed", extra={"facts": {"error": type(error.orig).__name__}})


def _waiting_queues(session: Session) -> list[str]:
    """Queues with work that is due and unclaimed: retries, delayed tasks, and whatever Redis forgot."""
    waiting = upkeep.lanes_with_due(session)
    return [lane.queue for lane in registry.LANES if lane.name in waiting]


def tick(now: datetime) -> None:
    """One tick without memory, for tests and for the demo's fast-forwarded history.

    It schedules each present slot, sweeps, prunes and announces; it rescues nothing, because from one look a dead
    process cannot be told from a clock that jumped (`janitor.rescue` does it where that is known).
    """
    Sentinel().tick(now)


def lead(stopping: threading.Event, leadership: Leadership | None = None) -> None:
    """Tick once a second while leading, wait for leadership otherwise, until `stopping`."""
    leadership = leadership or Leadership()
    sentinel, away = Sentinel(), False
    while not stopping.is_set():
        try:
            if leadership.held():
                sentinel.tick(clock.now())
            away = False
        except OperationalError as error:
            # PostgreSQL restarts, is away or full: nothing can be scheduled and nothing is lost; next second again.
            if not away:
                log.warning("sentinel.database_away", extra={"facts": {"error": type(error.orig).__name__}})
            away = True
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
