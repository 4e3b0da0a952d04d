"""Running durable tasks in this process: claim a batch, run each under its correlation id, settle them together.

A handler is `run(task) -> dict | None` and opens its own sessions. It may run twice (its process can die after its
commit and before ours), so its effects are idempotent.
"""

import contextlib
import logging
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy.exc import DBAPIError, OperationalError
from sqlmodel import Session

from core import clock, db, metrics, queue
from core.crash_points import crash_point
from core.logging import correlated
from jobs import registry
from jobs.leases import LEASE, LeaseKeeper
from jobs.limits import Alarm, TaskInterrupted, TaskTimeout
from models.work import TaskLane
from services.tasks import service as tasks
from services.tasks import upkeep
from services.tasks.errors import Discard, NotStorableError, Retry, UnknownKindError
from services.tasks.schemas import ClaimedTask, TaskResult
from services.tasks.turns import Turns

BATCH = 100
SETTLE_SECONDS = 0.2  # how long a finished task may wait for company before it is written down as done
SETTLE_PAUSE = 0.5
TURN_SECONDS = 1.0  # how long a batch may keep those waiting who came after it was claimed
PATIENCE_SECONDS, PATIENCE_WHEN_STOPPING = 120.0, 5.0  # with a database that cannot be written to
DATABASE_PAUSE, LOCKED_PAUSE = timedelta(seconds=2), timedelta(minutes=1)

log = logging.getLogger(__name__)
_nap = threading.Event()  # never set: to wait on


@dataclass(frozen=True, slots=True)
class _Failure:
    task: ClaimedTask
    error: str
    final: bool


@dataclass(frozen=True, slots=True)
class _Delay:
    task: ClaimedTask
    asked: Retry


@dataclass
class Runner:
    """What one thread of a process runs tasks with. `alarms` needs the main thread: it enforces kinds' limits."""

    owner: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")
    chance: Callable[[], float] = random.random
    alarms: bool = False
    on_stuck: Callable[[], None] | None = None
    stopping: threading.Event = field(default_factory=threading.Event)
    alarm: Alarm = field(default_factory=Alarm)
    turns: Turns = field(default_factory=Turns)
    waiting: frozenset[TaskLane] | None = None
    """In which lanes work waited when the last batch was written down; None where nobody looked."""
    _portion: int = BATCH
    waits: bool = False
    """Whether its thread waits for work, where a signal may end it."""
    _batch: "_Batch | None" = None
    _deadline: float = 0.0
    _idle: threading.Event = field(default_factory=threading.Event)

    @property
    def busy(self) -> bool:
        """Whether tasks are being claimed or run now."""
        return not self._idle.is_set()

    def __post_init__(self) -> None:
        self._idle.set()

    def run_due(
        self,
        limit: int = BATCH,
        kinds: Sequence[str] | None = None,
        *,
        lane: TaskLane | None = None,
        batch: int = BATCH,
        on_more: Callable[[], object] | None = None,
    ) -> int:
        """Run up to `limit` due tasks of a lane (None: of all), follow-ups included, until none is due; how many ran.

        `on_more` is called whenever a claim came back full, so that another worker can be woken to share.
        """
        self._idle.clear()
        try:
            return self._run_due(limit, kinds, lane, batch, on_more)
        finally:
            self._batch = None
            self._idle.set()

    def _run_due(
        self,
        limit: int,
        kinds: Sequence[str] | None,
        lane: TaskLane | None,
        batch: int,
        on_more: Callable[[], object] | None,
    ) -> int:
        ran = 0
        self.waiting = None
        while ran < limit and not self.stopping.is_set():
            wanted = min(limit - ran, batch, self._portion)
            with db.queue_session() as session:
                claimed = tasks.claim(session, self.owner, wanted, kinds, LEASE, lane=lane, turns=self.turns)
            if not claimed:
                break
            crash_point("tasks.claimed")
            if on_more and len(claimed) == wanted:
                on_more()
            self._batch = _Batch(self, claimed)
            begun = self._batch.run()
            # What is claimed and given back is written twice for nothing: take about as many as a turn lasts for.
            self._portion = min(BATCH, 2 * self._portion) if begun == len(claimed) else max(1, begun)
            ran += begun
            self.waiting = self._batch.waiting
            if self.waiting is not None and not (self.waiting if lane is None else lane in self.waiting):
                break  # what comes from now on announces itself
        return ran

    @contextlib.contextmanager
    def waiting_for_work(self) -> Iterator[None]:
        """While the block lasts its thread waits for work."""
        self.waits = True
        try:
            yield
        finally:
            self.waits = False

    def stop(self, grace: float) -> None:
        """Finish the task under way if it takes no longer than `grace` seconds, and give back the others.

        Fit to be called from a signal handler.
        """
        self._deadline = time.monotonic() + grace
        self.stopping.set()
        self.alarm.hurry(grace)

    def finish(self) -> None:
        """From another thread: wait for the batch under way as long as `stop` said, then give back what is left."""
        if not self._idle.wait(max(0.0, self._deadline - time.monotonic())) and self._batch is not None:
            self._batch.give_back()


class _Batch:
    def __init__(self, runner: Runner, claimed: list[ClaimedTask]) -> None:
        self._runner = runner
        self._claimed = claimed
        self._keeper = LeaseKeeper(claimed, runner.on_stuck)
        self._done: list[TaskResult] = []
        self._failed: list[_Failure] = []
        self._delayed: list[_Delay] = []
        self._settled_at = time.monotonic()
        self._hopeless = False
        self.waiting: frozenset[TaskLane] | None = None
        """Where work waited when the last task was written down; None when that is not known."""

    def run(self) -> int:
        """How many were begun. After a turn the others are given back as they were: whoever came since is served."""
        begun, until = 0, time.monotonic() + TURN_SECONDS
        with self._keeper:
            try:
                for task in self._claimed:
                    if self._runner.stopping.is_set() or (begun and time.monotonic() > until):
                        break
                    begun += 1
                    self._take(task)
            finally:
                self._settle()
                self.give_back()
        return begun

    def _take(self, task: ClaimedTask) -> None:
        if self._keeper.has_lost(task):
            return
        if task.suspect:  # if the process dies again, nothing else is open that it could have died of
            self._settle()
            with db.queue_session() as session:
                tasks.begin(session, task)
        self._run_one(task)
        if task.suspect or time.monotonic() - self._settled_at > SETTLE_SECONDS:
            self._settle()

    def _run_one(self, task: ClaimedTask) -> None:
        kind = task.kind if task.kind in registry.KINDS else "(unknown)"
        metrics.TASK_WAIT.observe((clock.now() - task.run_at).total_seconds(), kind)
        with correlated(task.correlation_id), metrics.timed(metrics.TASKS, kind) as outcome:
            try:
                handle = registry.handler(task.kind)
                limit = registry.limit(task.kind)
                self._keeper.starts(limit)
                with self._limited(limit):
                    result = handle(task) or {}
                crash_point("tasks.ran")
                tasks.encode_result(result)
            except Retry as asked:
                outcome.append("postponed")
                self._delayed.append(_Delay(task, asked))
            except Discard as pointless:
                outcome.append("discarded")
                self._done.append(TaskResult(task, {"discarded": pointless.reason}))
            except TaskInterrupted:
                outcome.append("interrupted")
                log.warning("task.interrupted", extra={"facts": _facts(task)})
            except (UnknownKindError, NotStorableError) as error:
                # Trying again would end the same way: a person has to look.
                outcome.append("refused")
                self._fail(task, error, f"{error.code}: {error.detail}", final=True)
            except TaskTimeout as error:
                outcome.append("timeout")
                self._fail(task, error, f"It took longer than {registry.limit(task.kind)}.")
            except DBAPIError as error:
                outcome.append("postponed" if db.is_passing(error) else "failed")
                self._not_done_by_database(task, error)
            except (Exception, SystemExit) as error:
                # Whatever a handler raises must not end the batch or the worker. It is not passed over: it is the
                # task's failure, kept in its row with the attempt counted, and in the log with its traceback.
                outcome.append("failed")
                self._fail(task, error, f"{type(error).__name__}: {error}")
            else:
                self._done.append(TaskResult(task, result))

    def _limited(self, limit: timedelta) -> contextlib.AbstractContextManager[None]:
        runner = self._runner
        return runner.alarm.limited(limit.total_seconds()) if runner.alarms else contextlib.nullcontext()

    def _fail(self, task: ClaimedTask, cause: BaseException, error: str, *, final: bool = False) -> None:
        log.error("task.failed", exc_info=cause, extra={"facts": {**_facts(task), "attempts": task.attempts}})
        self._failed.append(_Failure(task, error, final))

    def _not_done_by_database(self, task: ClaimedTask, error: DBAPIError) -> None:
        """PostgreSQL that restarts, is full or is locked by a stranger is not the task's failure: it costs no attempt.

        Waiting for a lock keeps the whole lane waiting, so what met one stays away longer.
        """
        if not db.is_passing(error):
            self._fail(task, error, f"{type(error).__name__}: {error}")
            return
        name = type(error.orig).__name__
        log.warning("task.database_away", extra={"facts": {**_facts(task), "error": name}})
        pause = LOCKED_PAUSE if db.is_locked(error) else DATABASE_PAUSE
        self._delayed.append(_Delay(task, Retry(after=pause, reason=f"database: {name}")))

    def _settle(self) -> None:
        """Write down what was done, one statement for all that is done; patient while PostgreSQL restarts."""
        settled = [
            *(entry.task for entry in self._done),
            *(failure.task for failure in self._failed),
            *(delay.task for delay in self._delayed),
        ]
        if settled and not self._hopeless:
            self._keeper.rests()
            self._write_patiently()
            crash_point("tasks.settled")
            self._keeper.settled(settled)
            queue.announce_changes({task.merchant_id for task in settled if task.merchant_id})
        self._done, self._failed, self._delayed = [], [], []
        self._settled_at = time.monotonic()

    def _write_patiently(self) -> None:
        """Until it is written. Nobody else can have these tasks while nobody can write, and rescuing is writing too."""
        began = time.monotonic()
        while True:
            try:
                return self._write()
            except OperationalError:
                stopping = self._runner.stopping.is_set()
                if time.monotonic() - began >= (PATIENCE_WHEN_STOPPING if stopping else PATIENCE_SECONDS):
                    self._hopeless = True  # the leases run out, and the tasks run again
                    raise
                _nap.wait(SETTLE_PAUSE)

    def _write(self) -> None:
        """Each statement is a transaction: what is written needs no second try when a later one does."""
        with db.queue_session() as session:
            lost = self._complete(session)
            given_back = bool(self._failed or self._delayed)
            if given_back:
                self.waiting = None
            while self._failed:
                each, chance = self._failed[-1], self._runner.chance
                if tasks.fail(session, each.task, each.error, chance=chance, final=each.final) is None:
                    lost.append(each.task)
                self._failed.pop()
            while self._delayed:
                delay = self._delayed[-1]
                tasks.put_off(session, delay.task, delay.asked, chance=self._runner.chance)
                self._delayed.pop()
            if given_back:  # some of it may be due at once
                self.waiting = frozenset(upkeep.lanes_with_due(session))
        for task in lost:
            log.warning("task.lease_lost", extra={"facts": _facts(task)})

    def _complete(self, session: Session) -> list[ClaimedTask]:
        """Mark what is done as done; the tasks whose lease was lost meanwhile."""
        self.waiting = None
        if not self._done:
            return []
        written = tasks.complete(session, self._done)
        lost = [entry.task for entry in self._done if entry.task.id not in written.kept]
        self._done, self.waiting = [], written.waiting
        return lost

    def give_back(self) -> None:
        """Let others have what is not settled; a result that still comes is refused by its lease."""
        left = self._keeper.unsettled()
        if left:
            with db.queue_session() as session:
                tasks.release(session, left)
            self._keeper.settled(left)
            self.waiting = None


def _facts(task: ClaimedTask) -> dict[str, object]:
    return {"task": task.id, "kind": task.kind, "merchant_id": task.merchant_id}


def run_due(limit: int = BATCH, kinds: Sequence[str] | None = None) -> int:
    """Claim, run and complete up to `limit` due tasks in this process and thread, follow-ups included; how many ran.

    For tests and for the demo's fast-forwarded history; a worker's batch is the same with time limits.
    """
    return Runner().run_due(limit, kinds)
