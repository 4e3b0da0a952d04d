"""The muscle: `python -m jobs.worker`. RQ delivers wake-ups; what to do is claimed from PostgreSQL.

One process runs two lanes: quick tasks in the main thread, where a signal can end what takes too long, and long
ones (a hunt) in a thread beside it, so that a webhook never waits behind a hunt. Any number of processes may run.
"""

import argparse
import contextlib
import logging
import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Collection, Iterator, Sequence
from types import FrameType

import redis
from redis.client import Pipeline
from rq import Queue, SimpleWorker
from rq.exceptions import StopRequested
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.timeouts import BaseDeathPenalty
from sqlalchemy.exc import OperationalError

from core import clock, db, queue
from jobs import boot, lockjaw, registry
from jobs.runner import Runner
from jobs.wakes import SOON, Wake
from models.work import TaskLane
from services.tasks import upkeep

ROUND = 1000  # tasks one RQ job runs at most before it lets RQ breathe and announces the rest
GRACE_SECONDS = 5.0  # what a running task gets at SIGTERM before it is given back
REDIS_AWAY_SECONDS = RQ_PAUSE_SECONDS = 0.5

log = logging.getLogger(__name__)

_runners: dict[str, Runner] = {}  # by lane
_wakes: dict[str, Wake] = {}  # by lane, in a process that works until it is told to stop


def run_batch(queue_name: str = queue.TASK_QUEUE) -> int:
    """The one RQ job there is: run all due tasks of the queue's lane, follow-ups included; how many ran."""
    lane = registry.lane_of_queue(queue_name)
    runner = _runners.get(lane.name) or Runner()
    queue.work_taken(queue_name)  # before claiming: whatever is committed from here on announces itself again
    try:
        ran = runner.run_due(ROUND, lane=lane.name, batch=lane.batch, on_more=lambda: queue.announce_work(queue_name))
        _wake_in_time(lane, runner)
    except OperationalError as error:
        # PostgreSQL restarts: leases run out, the Sentinel sweeps. An RQ failure would only fill Redis.
        log.warning("worker.database_away", extra={"facts": {"error": type(error.orig).__name__}})
        return 0
    if ran >= ROUND:
        queue.announce_work(queue_name)
    return ran


def _wake_in_time(lane: registry.Lane, runner: Runner) -> None:
    """See to it that what falls due next is not late, and that the other lane hears of its work.

    Nobody who schedules work needs to know of lanes: the quick one, always woken, passes it on.
    """
    is_quick, wake = lane.name is TaskLane.QUICK, _wakes.get(lane.name)
    waiting: Collection[TaskLane] | None = runner.waiting if is_quick else ()
    with db.queue_session() as session:
        if waiting is None:
            waiting = upkeep.lanes_with_due(session, [TaskLane.LONG])
        moment = upkeep.next_due(session, lane.name, SOON) if wake else None
    if TaskLane.LONG in waiting:
        queue.announce_work(queue.LONG_TASK_QUEUE)
    if wake and moment is not None:
        wake.at(moment.timestamp(), clock.now().timestamp())


class _NoDeathPenalty(BaseDeathPenalty):
    """RQ's own time limit would take SIGALRM from the runner's, and cannot work in a thread."""

    def setup_death_penalty(self) -> None:
        """Nothing to set up."""

    def cancel_death_penalty(self) -> None:
        """Nothing to cancel."""


class LaneWorker(SimpleWorker):
    """RQ's worker without forks, without remote commands, and without a will of its own when Redis goes away."""

    death_penalty_class = _NoDeathPenalty
    max_connection_wait_time = 1.0

    def __init__(self, lane: str, runner: Runner) -> None:
        self._runner = runner
        self._away = False
        client = redis.Redis.from_url(  # its own: RQ changes the time-outs of the client it is given
            queue.connection_url(), socket_connect_timeout=2, health_check_interval=15, retry=queue.at_once()
        )
        super().__init__(
            [queue.task_queue(registry.lane(lane).queue, client=client)],
            name=f"{socket.gethostname()}-{os.getpid()}-{lane}-{secrets.token_hex(4)}",
            connection=client,
            serializer=JSONSerializer,
            worker_ttl=25,
            maintenance_interval=60,
            log_job_description=False,
        )
        self.log_result_lifespan = False

    def _install_signal_handlers(self) -> None:
        """Signals are the process's, see `_stop_on_signals`."""

    def subscribe(self) -> None:
        """No remote commands: they could stop workers, and their thread would outlive a Redis outage."""

    def unsubscribe(self) -> None:
        """Nothing was subscribed."""

    def procline(self, message: str) -> None:
        """The process keeps its name, for the people who look for it."""

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """Called before and after each wait: the place to notice a stop, and a Redis that is gone."""
        if self._runner.stopping.is_set():
            raise StopRequested
        with self._left_when_away():
            super().heartbeat(timeout, pipeline)

    @property
    def dequeue_timeout(self) -> int:
        """Seconds to block for a wake-up. RQ's ten would be the time to notice a Redis that has fallen silent."""
        return 2

    @property
    def connection_timeout(self) -> int:
        """Seconds of silence after which Redis is away."""
        return self.dequeue_timeout + 1

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[Job, Queue] | None:
        """Wait for a wake-up, as long as Redis answers; a signal ends it at once."""
        with self._left_when_away(), self._runner.waiting_for_work():
            if self._runner.stopping.is_set():
                raise StopRequested
            return super().dequeue_job_and_maintain_ttl(timeout, max_idle_time)

    def teardown(self) -> None:
        """Say good-bye to Redis, if it is there to hear it; its registration runs out otherwise."""
        if not self._away:
            super().teardown()  # type: ignore[no-untyped-call]  # RQ's

    @contextlib.contextmanager
    def _left_when_away(self) -> Iterator[None]:
        """Leave RQ's loop, which would wait for Redis while tasks wait for us."""
        try:
            yield
        except redis.RedisError:
            self._away = True
            raise StopRequested from None


def work_lane(lane: str, runner: Runner) -> None:
    """Work until the runner is told to stop. While Redis is away, look for tasks without it."""
    queue_name = registry.lane(lane).queue
    _runners[lane], _wakes[lane] = runner, Wake(queue_name)
    away = False
    while not runner.stopping.is_set():
        try:
            run_batch(queue_name)  # what came before we listened
            if not queue.answers():
                raise redis.TimeoutError("no answer")
            worker = LaneWorker(lane, runner)
            if away:
                log.info("worker.redis_back", extra={"facts": {"lane": lane}})
            away = False
            worker.work(logging_level=None)
            runner.stopping.wait(RQ_PAUSE_SECONDS)
        except redis.RedisError as error:
            if not away:
                log.warning("worker.redis_away", extra={"facts": {"lane": lane, "error": type(error).__name__}})
            away = True
            runner.stopping.wait(REDIS_AWAY_SECONDS)
        except StopRequested:  # the signal came while no task ran
            break


def _work_beside(lane: str, runner: Runner) -> None:
    """A lane in a thread: what ends it unforeseen ends the process, which is started anew, lanes and all."""
    try:
        work_lane(lane, runner)
    except BaseException:
        log.exception("worker.lane_died", extra={"facts": {"lane": lane}})
        os.kill(os.getpid(), signal.SIGTERM)
        raise


def _stop_on_signals(runners: Sequence[Runner], main: Runner) -> None:
    def stop(_signal: int, _frame: FrameType | None) -> None:
        for runner in runners:
            runner.stop(GRACE_SECONDS)
        if main.waits:
            raise StopRequested  # out of the wait for Redis; anywhere else it could end a line half written

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)


def _leave_stuck() -> None:
    """A handler heard no signal: stop as if told to, and if that is not heard either, die; others take over."""
    os.kill(os.getpid(), signal.SIGTERM)
    end = threading.Timer(GRACE_SECONDS * 2, os._exit, [70])
    end.daemon = True
    end.start()


def work(lanes: Sequence[str]) -> None:
    """Work on these lanes, the first in this thread, until SIGTERM or SIGINT."""
    lockjaw.guard()
    runners = [Runner(alarms=index == 0, on_stuck=_leave_stuck) for index in range(len(lanes))]
    _stop_on_signals(runners, runners[0])
    threads = [
        threading.Thread(target=_work_beside, args=(lane, runner), name=f"lane-{lane}", daemon=True)
        for lane, runner in zip(lanes[1:], runners[1:], strict=True)
    ]
    for thread in threads:
        thread.start()
    log.info("worker.started", extra={"facts": {"lanes": list(lanes)}})
    with contextlib.suppress(StopRequested):
        work_lane(lanes[0], runners[0])
    for runner in runners[1:]:
        try:
            runner.finish()
        except OperationalError as error:
            log.warning("worker.database_away", extra={"facts": {"error": type(error.orig).__name__}})
    log.info("worker.stopped")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="jobs.worker", description="Run durable tasks.")
    parser.add_argument("--lane", choices=[lane.value for lane in TaskLane], help="only this lane; both without it")
    boot.add_metrics_options(parser)
    given = parser.parse_args(arguments)
    lane = given.lane
    return boot.run("worker", lambda: work([lane] if lane else list(TaskLane)), given)


if __name__ == "__main__":
    # RQ imports the module of its job by name; without this, that copy would have no runners.
    from jobs.worker import main as imported_main

    sys.exit(imported_main())
