"""Keeping the platform's tables clean: tasks of dead processes, events without a task, and what is old."""

import dataclasses
import logging
import time
from collections.abc import Callable, Sequence

from sqlmodel import Session

from core import clock, db, true_time
from services.audit import partitions
from services.handshake import service as handshake
from services.tasks import upkeep
from services.tasks.schemas import ExpiredLease

BATCH, MAX_BATCHES = 1000, 20  # what one round deletes at most, in transactions that others hardly notice
PATIENCE_SECONDS = 3.0  # more than one heartbeat of a lease's keeper

log = logging.getLogger(__name__)


class LeaseWatch:
    """Tells a dead process from a clock that jumped.

    Both make a lease look over. But whoever lives renews it within two seconds of real time, whatever the clock
    says, so only a lease that stays exactly as it was for three seconds belongs to nobody.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._first_seen: dict[ExpiredLease, float] = {}

    def silent(self, expired: Sequence[ExpiredLease]) -> list[ExpiredLease]:
        """Those that have been seen exactly so for longer than their keeper could be silent."""
        now = self._monotonic()
        self._first_seen = {lease: self._first_seen.get(lease, now) for lease in expired}
        return [lease for lease, since in self._first_seen.items() if now - since >= PATIENCE_SECONDS]


def rescue(session: Session, watch: LeaseWatch | None = None) -> int:
    """Take back the tasks of dead processes; how many. Without a watch the clock alone decides."""
    expired = upkeep.list_expired(session)
    rescued = upkeep.rescue(session, watch.silent(expired) if watch else expired)
    if rescued:
        log.warning("task.rescued", extra={"facts": {"tasks": rescued}})
    return rescued


def sweep(session: Session) -> int:
    """Give unhandled events the task they lost; how many."""
    swept = handshake.sweep_unhandled(session)
    if swept:
        log.warning("webhook.swept", extra={"facts": {"events": swept}})
    return swept


def prune() -> dict[str, int]:
    """Delete what is past its time, in bounded batches, and whole partitions; how many rows of each.

    Nothing at all while the clock is ahead of the database's.
    """
    try:
        keep_partitions()
    except true_time.ClockAheadError as error:
        log.error("janitor.clock_ahead", extra={"facts": {"detail": error.detail}})
        return {}
    jobs: dict[str, Callable[[Session, int], int]] = {
        "tasks": upkeep.prune_done,
        "events": handshake.prune_handled,
        "given_up": handshake.give_up,
        "sessions": upkeep.prune_sessions,
    }
    with db.queue_session() as session:
        old = upkeep.what_is_old(session) | handshake.what_is_old(session)
    deleted = dict.fromkeys(jobs, 0)
    if old:
        with db.system_session() as session:  # most of the time there is little: all of it in one transaction
            deleted |= {name: job(session, BATCH) for name, job in jobs.items() if name in old}
    for name, job in jobs.items():
        if deleted[name] >= BATCH:
            deleted[name] += _in_batches(job, MAX_BATCHES - 1)
    if any(deleted.values()):
        log.info("janitor.pruned", extra={"facts": {"rows": deleted}})
    return deleted


def keep_partitions() -> None:
    """Partitions of the logs ahead of time, and none behind it. A table that others hold is left for the next round."""
    for table in partitions.TABLES:
        with db.system_session() as session:
            kept = partitions.keep(session, table, clock.now())
        if kept != partitions.Kept():
            log.info("janitor.partitions", extra={"facts": {"table": table, **dataclasses.asdict(kept)}})


def _in_batches(job: Callable[[Session, int], int], most: int) -> int:
    deleted = 0
    for _ in range(most):
        with db.system_session() as session:
            count = job(session, BATCH)
        deleted += count
        if count < BATCH:
            break
    return deleted
