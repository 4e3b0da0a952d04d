"""How soon work begins: from a commit to its handler, idle and loaded, and again after its process was killed.

Real workers, a real Sentinel; handlers note when they start, by the clock of the machine that also notes the commit.
"""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from typing import cast

from sqlalchemy import text

from benchmarks import probe
from benchmarks.harness import Place, Row, Samples, alone, audit, percentile, place
from benchmarks.processes import running
from core import clock, db, queue
from services.tasks import service as tasks

ROUNDS = 5
WORKERS = 2
SINGLE = 40  # tasks a round, one after the other
LOAD_SECONDS = 4.0
KILLS = 20
KILLED_AT_ONCE = 5
_PATIENCE_SECONDS = 60.0


def run() -> list[Row]:
    """p99 of each, in milliseconds or seconds; a round's figure is its own p99."""
    with place() as where:
        with _workers(where, WORKERS):
            _latencies(20, 0.01)  # connections, imports, plans
            half = _peak() / 2
            idle = Samples(tuple(percentile(_latencies(SINGLE, 0.02), 0.99) * 1000 for _ in range(ROUNDS)))
            loaded = Samples(
                tuple(percentile(_latencies(int(half * LOAD_SECONDS), 1 / half), 0.99) * 1000 for _ in range(ROUNDS))
            )
        with running("jobs.sentinel", log=where.folder / "sentinel.log"):
            again = [seconds for _ in range(KILLS // KILLED_AT_ONCE) for seconds in _killed(where)]
    audit(expected=KILLS, found=len(again), what="killed tasks that ran again")
    return [
        alone("commit -> handler idle", idle, "ms p99", "p99 <= 50 ms"),
        alone(f"commit -> handler loaded ({half:,.0f} tasks/s)", loaded, "ms p99", "p99 <= 250 ms"),
        alone("killed task runs again", Samples((percentile(again, 0.99),)), "s p99", "p99 <= 15 s"),
    ]


def _latencies(count: int, every: float) -> list[float]:
    """Seconds from each commit to its handler's start; commits come at fixed moments, however late the others are."""
    _forget()
    committed: dict[int, float] = {}
    begin = time.monotonic()
    for number in range(count):
        time.sleep(max(0.0, begin + number * every - time.monotonic()))
        with db.system_session() as session:
            task = tasks.schedule(session, kind=probe.NOTE, merchant_id=probe.MERCHANT)
        committed[task or 0] = clock.now().timestamp()
        queue.announce_work()
    started = _noted(count)
    audit(expected=set(committed), found=set(started), what="tasks that were started")
    return [started[task] - moment for task, moment in committed.items()]


def _peak(count: int = 2000) -> float:
    """Tasks a second that the workers start when all are there at once."""
    _forget()
    with db.system_session() as session:
        for _ in range(count):
            tasks.schedule(session, kind=probe.NOTE, merchant_id=probe.MERCHANT)
    began = time.perf_counter()
    queue.announce_work()
    _noted(count)
    return count / (time.perf_counter() - began)


def _killed(where: Place) -> list[float]:
    """Seconds from a SIGKILL to the second start of the task it interrupted, for several workers at once."""
    _forget()
    with contextlib.ExitStack() as stack:
        victims = [
            stack.enter_context(running("benchmarks.probe_worker", log=where.folder / f"victim-{number}.log"))
            for number in range(KILLED_AT_ONCE)
        ]
        killed: dict[int, float] = {}
        for _ in victims:
            with db.system_session() as session:
                task = tasks.schedule(
                    session, kind=probe.HOLD, merchant_id=probe.MERCHANT, payload={"seconds": _PATIENCE_SECONDS}
                )
            killed[task or 0] = 0.0
            queue.announce_work()
            _noted(len(killed))  # one task for each: the next worker takes the next
        for victim in victims:
            victim.send_signal(signal.SIGKILL)
            victim.wait()
        moment = clock.now().timestamp()
        queue.connection().delete(probe.NOTES)
        with _workers(where, 1):
            started = _noted(len(killed))
    audit(expected=set(killed), found=set(started), what="killed tasks that ran again")
    return [started[task] - moment for task in killed]


@contextlib.contextmanager
def _workers(where: Place, count: int) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for number in range(count):
            stack.enter_context(running("benchmarks.probe_worker", log=where.folder / f"worker-{number}.log"))
        yield


def _forget() -> None:
    queue.connection().delete(probe.NOTES)
    with db.system_session() as session:
        session.execute(text("delete from scheduled_tasks"))


def _noted(count: int) -> dict[int, float]:
    """When each task started first since the notes were emptied, once `count` tasks have."""
    started: dict[int, float] = {}

    def all_there() -> bool:
        for line in cast(list[bytes], queue.connection().lrange(probe.NOTES, 0, -1)):
            task, moment = line.decode().split()
            started.setdefault(int(task), float(moment))
        return len(started) >= count

    _until(all_there, f"{count} tasks start")
    return started


def _until(done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not done():
        audit(expected=True, found=time.monotonic() < deadline, what=f"{what} within {_PATIENCE_SECONDS:g} s")
        time.sleep(0.05)
