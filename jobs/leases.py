"""Keeping the leases of a batch while it runs, in a thread beside it."""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from types import TracebackType
from typing import Self

from sqlalchemy.exc import SQLAlchemyError

from core import db
from services.tasks import service as tasks
from services.tasks.schemas import ClaimedTask

LEASE = timedelta(seconds=6)  # with the janitor's patience: a killed task runs again within twelve seconds
HEARTBEAT_SECONDS = 2.0
OVERDUE_SECONDS = 5.0  # beyond its limit a task has been sent a signal; past this it did not hear it

log = logging.getLogger(__name__)


class LeaseKeeper:
    """Renews what is not settled yet every two seconds, so that a lease can be short and a dead process found fast.

    It stops renewing when a task runs on past its kind's limit: a handler stuck where no signal reaches it loses
    its lease as if its process were dead, and `on_stuck` is told, once.
    """

    def __init__(self, claimed: Iterable[ClaimedTask], on_stuck: Callable[[], None] | None = None) -> None:
        self._held = {task.id: task for task in claimed}
        self._lost: set[int] = set()
        self._deadline = float("inf")
        self._stuck = False
        self._on_stuck = on_stuck
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease-keeper", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def starts(self, limit: timedelta) -> None:
        """A task starts that may take `limit`."""
        self._deadline = time.monotonic() + limit.total_seconds() + OVERDUE_SECONDS

    def rests(self) -> None:
        """No task runs until the next `starts`; what is held is kept without a limit."""
        self._deadline = float("inf")

    def has_lost(self, task: ClaimedTask) -> bool:
        """Whether somebody else has this task now."""
        with self._lock:
            return task.id in self._lost

    def settled(self, claimed: Iterable[ClaimedTask]) -> None:
        """These need no lease any more."""
        with self._lock:
            for task in claimed:
                self._held.pop(task.id, None)

    def unsettled(self) -> list[ClaimedTask]:
        """What still runs, or waits in the batch."""
        with self._lock:
            return [task for task in self._held.values() if task.id not in self._lost]

    def renew(self) -> None:
        """One heartbeat."""
        held = self.unsettled()
        if not held:
            return
        with db.queue_session() as session:
            kept = tasks.extend_lease(session, held, LEASE)
        with self._lock:
            # What was settled while we asked is missing from `kept` for the best of reasons.
            self._lost |= {task.id for task in held if task.id not in kept and task.id in self._held}

    def _keep(self) -> None:
        while not self._over.wait(HEARTBEAT_SECONDS):
            if time.monotonic() > self._deadline:
                self._report_stuck()
                continue
            try:
                self.renew()
            except SQLAlchemyError as error:  # the lease has two more heartbeats to live through it
                log.warning("task.heartbeat_failed", extra={"facts": {"error": type(error).__name__}})

    def _report_stuck(self) -> None:
        if not self._stuck:
            self._stuck = True
            log.error("task.stuck", extra={"facts": {"tasks": [task.id for task in self.unsettled()]}})
            if self._on_stuck:
                self._on_stuck()
