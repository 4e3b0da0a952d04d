"""How soon work begins: from a commit to its handler, idle and loaded, and again after its process was killed.

Real workers, a real Sentinel; handlers note when they start, by the clock of the machine that also notes the commit.
Of a small run nobody is killed (`kill_rounds=0`): it is the patience of PHANTOM that those rounds wait for, and it is
no shorter for less work.
"""

import contextlib
import signal
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from sqlalchemy import text

from benchmarks import probe
from benchmarks.harness import ROUNDS, AuditError, Place, Row, Samples, alone, audit, compared, percentile, place
from benchmarks.processes import running
from core import clock, db, queue
from services.tasks import service as tasks

IDLE, LOADED = "commit → handler idle", "commit → handler loaded"
WORKERS = 2
SINGLE = 40  # tasks a round, one after the other
LOAD_SECONDS = 4.0
PORTION = 10  # tasks that the load commits together, as the intake's group commit does; one by one it cannot keep pace
PEAK = 2000  # tasks that are there at once
KILLED_AT_ONCE = 4
BACKLOG = 20_000  # of fifty merchants, the killed tasks' own among them
HELD_BESIDE = 50  # tasks that the killed workers hold besides, where others wait
_OFFERED_AT_LEAST = 0.9
_COMMIT = text("""
insert into scheduled_tasks (state, kind, merchant_id, payload, priority, run_at, correlation_id, created_at)
select 'pending', :kind, :merchant, '{}', 10, :now, '', :now from generate_series(1, :count) returning id
""")
_WAITING = text("""
insert into scheduled_tasks (state, kind, merchant_id, payload, run_at, correlation_id, created_at)
select 'pending', :kind, case number % 50 when 0 then :merchant else 'mer_' || number % 50 end, '{}', :now, '', :now
from generate_series(1, :count) number
""")
_PATIENCE_SECONDS = 60.0


def run(
    rounds: int = ROUNDS, load_seconds: float = LOAD_SECONDS, peak: int = PEAK, kill_rounds: int = ROUNDS
) -> list[Row]:
    """p99 of each, in milliseconds or seconds; a round's figure is its own p99."""
    with place() as where:
        with _workers(where, WORKERS):
            _latencies(20, 0.01)  # connections, imports, plans
            half = _peak(peak) / 2
            idle = [_latencies(SINGLE, 0.02) for _ in range(rounds)]
            portions = int(half * load_seconds / PORTION)
            loaded = [_latencies(portions, PORTION / half, PORTION) for _ in range(rounds)]
        killed = _kills(where, kill_rounds) if kill_rounds else []
    return [
        alone(IDLE, _p99s(idle), "ms p99", "<= 50 ms"),
        alone(LOADED, _p99s(loaded), "ms p99", "<= 250 ms"),
        offered(loaded, half),
        *killed,
    ]


@dataclass(frozen=True, slots=True)
class Pass:
    """How long each task of a round waited for its handler, in seconds, and how many were committed a second."""

    waits: tuple[float, ...]
    rate: float


def _p99s(passes: Sequence[Pass]) -> Samples:
    return Samples(tuple(percentile(each.waits, 0.99) * 1000 for each in passes))


def offered(passes: Sequence[Pass], wanted: float) -> Row:
    """The rate that the latencies under load belong to. Raises `AuditError` when it was not what was wanted."""
    rates = Samples(tuple(each.rate for each in passes))
    if min(rates.values) < _OFFERED_AT_LEAST * wanted:
        raise AuditError(f"load: {min(rates.values):,.0f} tasks/s were committed, {wanted:,.0f}/s were wanted")
    half = Samples((wanted,) * len(passes))
    return compared(f"{LOADED}: rate offered", rates, "tasks/s", "half of what the workers start", half, ">= 0.9x")


def killed_row(measure: str, rounds: Sequence[Sequence[float]]) -> Row:
    """The p99 of all kills, which are too few for one a round; the spread is of the rounds' slowest."""
    slowest = Samples(tuple(max(each) for each in rounds))
    value = percentile([seconds for each in rounds for seconds in each], 0.99)
    return Row(measure, value, "s p99", None, None, None, len(rounds), slowest.spread, "p99 <= 15 s")


def _latencies(commits: int, every: float, portion: int = 1) -> Pass:
    """Of tasks that are committed in portions at fixed moments, however late the ones before are."""
    _forget()
    committed: dict[int, float] = {}
    begin = time.monotonic()
    for number in range(commits):
        time.sleep(max(0.0, begin + number * every - time.monotonic()))
        with db.system_session() as session:
            facts = {"kind": probe.NOTE, "merchant": probe.MERCHANT, "count": portion, "now": clock.now()}
            made = session.execute(_COMMIT, facts).scalars().all()
        committed |= dict.fromkeys(made, clock.now().timestamp())
        queue.announce_work()
    started = _noted(committed)
    audit(expected=set(committed), found=set(started), what="tasks that were started")
    waits = tuple(started[task] - moment for task, moment in committed.items())
    return Pass(waits, portion * rate_of(sorted(set(committed.values()))))


def rate_of(moments: Sequence[float]) -> float:
    """How many a second, by the pace from the first moment to the last; in ascending order."""
    took = moments[-1] - moments[0]
    return (len(moments) - 1) / took if took else 0.0


def _peak(count: int) -> float:
    """Tasks a second that the workers start when all are there at once."""
    _forget()
    with db.system_session() as session:
        made = {tasks.schedule(session, kind=probe.NOTE, merchant_id=probe.MERCHANT) or 0 for _ in range(count)}
    began = time.perf_counter()
    queue.announce_work()
    _noted(made)
    return count / (time.perf_counter() - began)


def _kills(where: Place, rounds: int) -> list[Row]:
    with running("jobs.sentinel", log=where.folder / "sentinel.log"):
        again = [_killed(where) for _ in range(rounds)]
        behind = [_killed(where, BACKLOG) for _ in range(rounds)]
    return [
        killed_row("killed task runs again, nothing else waiting", again),
        killed_row(f"killed task runs again, {BACKLOG:,} others waiting", behind),
    ]


def _killed(where: Place, backlog: int = 0) -> list[float]:
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
                for _ in range(HELD_BESIDE if backlog else 0):
                    tasks.schedule(session, kind=probe.NOTE, merchant_id=probe.MERCHANT, priority=-10)
            killed[task or 0] = 0.0
            queue.announce_work()
            _noted(killed)  # one task for each: the next worker takes the next
        if backlog:
            _put(backlog)
        for victim in victims:
            victim.send_signal(signal.SIGKILL)
            victim.wait()
        moment = clock.now().timestamp()
        queue.connection().delete(probe.NOTES)
        with _workers(where, 1):
            started = _noted(killed)
    audit(expected=True, found=set(killed) <= set(started), what="killed tasks ran again")
    return [started[task] - moment for task in killed]


def _put(count: int) -> None:
    with db.system_session() as session:
        facts = {"kind": probe.NOTE, "merchant": probe.MERCHANT, "count": count, "now": clock.now()}
        session.execute(_WAITING, facts)


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


def _noted(wanted: Collection[int]) -> dict[int, float]:
    """When each task started first since the notes were emptied, once all of those have."""
    started: dict[int, float] = {}

    def all_there() -> bool:
        for line in cast(list[bytes], queue.connection().lrange(probe.NOTES, 0, -1)):
            task, moment = line.decode().split()
            started.setdefault(int(task), float(moment))
        return started.keys() >= set(wanted)

    _until(all_there, f"{len(wanted)} tasks start")
    return started


def _until(done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not done():
        audit(expected=True, found=time.monotonic() < deadline, what=f"{what} within {_PATIENCE_SECONDS:g} s")
        time.sleep(0.05)
