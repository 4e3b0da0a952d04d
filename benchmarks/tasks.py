"""Durable tasks against RQ alone: enqueue to effect, with as many workers, in alternating rounds.

Ours: schedule in transactions of a webhook's size, announce after each commit, each task leaves a line in a file, all
of it by worker processes on PostgreSQL with fsync. Theirs: no-op jobs, enqueued and executed. A round ends when
everything is done; it begins with the first enqueuing, so that enqueuing is in both figures. What a task that writes
a row of a tenant in a transaction of its own costs is a row beside it: most of that is the transaction's. And what the
product's commonest task costs, a paid invoice that nobody haunts: read, billed, marked, its payload forgotten. At the
end the same workers have a million tasks of one merchant before them, and ten of another (`fairness`).

Both sides get their work in portions of the same size, and all workers stay up and idle while others are measured.
"""

import contextlib
import itertools
import sys
import time
from collections.abc import Callable, Iterator, Sequence

import redis
from rq import Queue
from sqlalchemy import text

from benchmarks import fairness, probe
from benchmarks.bare_rq import nothing, queue_of
from benchmarks.deliveries import ACCOUNT, connect_merchant, event_body, event_id
from benchmarks.harness import ROUNDS, Place, Row, Samples, alternate, audit, compared, place
from benchmarks.processes import running
from core import clock, db, queue
from services.tasks import service as tasks

VS_BARE_RQ = "durable tasks vs bare rq"
WORKERS = 2
TASKS, JOBS = 5_000, 1_500
FORKING_SHARE = 5  # forking workers get so many times fewer jobs: they take as much longer for each
WARM_UP = 500  # connections, imports, plans
A_TRANSACTION = 50  # what the intake's group commit brings in together under load; the control's pipeline has as many
_PATIENCE_SECONDS = 120.0

_UNDONE = text("select exists (select from scheduled_tasks where state in ('pending', 'running'))")
_EVENT = text("""
insert into processed_events (id, source, type, account, merchant_id, livemode, payload, received_at, outcome)
values (:id, 'stripe', 'invoice.paid', :account, :merchant, false, :payload, :now, '')
""")
_BILLED = text("select count(*) from billed_invoices")
_numbers = itertools.count(1)  # of events no two rounds share one
_EFFECTS = text("select count(*), count(distinct object_id) from hunt_spool")


def run(rounds: int = ROUNDS, count: int = TASKS, jobs: int = JOBS, flood: int = fairness.FLOOD) -> list[Row]:
    """The rate of durable tasks with audited effects, and bare RQ's in the same rounds: plain and forking."""
    with (
        place() as where,
        _workers("benchmarks.probe_worker", where),
        _bare(where, "simple") as simple,
        _bare(where, "forking") as forking,
    ):
        merchant = connect_merchant()
        _lines(where, WARM_UP)
        _rows(WARM_UP)
        _events(merchant, WARM_UP)
        measured: dict[str, Callable[[], float]] = {
            "ours": lambda: _lines(where, count),
            "simple": lambda: simple(jobs),
            "forking": lambda: forking(jobs // FORKING_SHARE),
            "ours, a row each": lambda: _rows(count // 2),
            "handle_event": lambda: _events(merchant, count // 2),
        }
        taken = alternate(measured, rounds, say=_say)
        _say(f"a flood of {flood:,}")
        fair = fairness.rows(where, flood)
    return [*_compare(taken), *fair]


def _compare(taken: dict[str, Samples]) -> list[Row]:
    plain, forked = f"no-op jobs, {WORKERS} SimpleWorkers", f"no-op jobs, {WORKERS} forking workers"
    ours, with_rows, simple = taken["ours"], taken["ours, a row each"], taken["simple"]
    return [
        compared(VS_BARE_RQ, ours, "tasks/s", plain, simple, ">= 1,000/s and >= 3x, of a task that leaves a line"),
        compared(f"{VS_BARE_RQ}, forking", ours, "tasks/s", forked, taken["forking"], "reported"),
        compared(
            f"{VS_BARE_RQ}, each task with a tenant's transaction", with_rows, "tasks/s", plain, simple, "reported"
        ),
        compared(
            "handle_event: paid invoices vs bare rq", taken["handle_event"], "events/s", plain, simple, "reported"
        ),
    ]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _lines(where: Place, count: int) -> float:
    """Tasks a second whose effect is a line in a file, audited by the lines."""
    path = where.folder / f"lines-{time.monotonic_ns()}"
    rate = _ours(probe.LINE, count, {"file": str(path)})
    lines = path.read_text().split()
    audit(
        expected=(count, count), found=(len(lines), len(set(lines))), what="lines of durable tasks, and how many differ"
    )
    return rate


def _rows(count: int) -> float:
    """Tasks a second whose effect is a tenant's row in a transaction of its own, audited by the rows."""
    with db.tenant_session(probe.MERCHANT) as session:
        session.execute(text("delete from hunt_spool"))
    rate = _ours(probe.EFFECT, count, {})
    with db.tenant_session(probe.MERCHANT) as session:
        effects, distinct = session.execute(_EFFECTS).one()
    audit(expected=(count, count), found=(effects, distinct), what="effects of durable tasks, and how many differ")
    return rate


def _events(merchant: str, count: int) -> float:
    """Stored events a second that are handled, audited by the invoices that are then counted as billed."""
    first = next(_numbers) * TASKS * 10
    with db.system_session() as session:
        session.execute(text("delete from processed_events"))
        for number in range(first, first + count):
            facts = {"id": event_id(number), "account": ACCOUNT, "merchant": merchant, "now": clock.now()}
            session.execute(_EVENT, {**facts, "payload": event_body(number)})
    with db.tenant_session(merchant) as session:
        before = session.execute(_BILLED).scalar_one()
    payloads = [{"event_id": event_id(number)} for number in range(first, first + count)]
    rate = _run("handle_event", merchant, payloads)
    with db.system_session() as session:
        handled = session.execute(text("select count(*) from processed_events where handled_at is not null")).scalar()
    with db.tenant_session(merchant) as session:
        billed = session.execute(_BILLED).scalar_one() - before
    audit(expected=(count, count), found=(handled, billed), what="events handled, and invoices billed")
    return rate


def _ours(kind: str, count: int, payload: dict[str, str]) -> float:
    return _run(kind, probe.MERCHANT, [payload] * count)


def _run(kind: str, merchant: str, payloads: Sequence[dict[str, str]]) -> float:
    """Tasks a second from the first `schedule` to the last effect settled."""
    with db.system_session() as session:
        session.execute(text("delete from scheduled_tasks"))
    began = time.perf_counter()
    for start in range(0, len(payloads), A_TRANSACTION):
        with db.system_session() as session:
            for payload in payloads[start : start + A_TRANSACTION]:
                tasks.schedule(session, kind=kind, merchant_id=merchant, payload=payload)
        queue.announce_work()
    _until(lambda: not _undone(), "all tasks are done")
    return len(payloads) / (time.perf_counter() - began)


def _undone() -> bool:
    with db.system_session() as session:
        return bool(session.execute(_UNDONE).scalar_one())


@contextlib.contextmanager
def _bare(where: Place, kind: str) -> Iterator[Callable[[int], float]]:
    """Bare workers, warm; the given function measures jobs a second from the first enqueue to the last one done.

    `count` is a multiple of `A_TRANSACTION`, here and with ours.
    """
    client = redis.Redis.from_url(where.redis.url)
    jobs = queue_of(kind, client)

    def measure(count: int) -> float:
        began = time.perf_counter()
        made = []
        for _ in range(0, count, A_TRANSACTION):
            made += jobs.enqueue_many([Queue.prepare_data(nothing, result_ttl=60) for _ in range(A_TRANSACTION)])
        _until(lambda: jobs.finished_job_registry.count == count, "all jobs are done")
        seconds = time.perf_counter() - began
        audit(expected={"finished"}, found={job.get_status() for job in made}, what="states of bare jobs")
        _forget(jobs)
        return count / seconds

    with contextlib.ExitStack() as stack:
        for number in range(WORKERS):
            log = where.folder / f"bare-{kind}-{number}.log"
            stack.enter_context(running("benchmarks.bare_rq", kind, where.redis.url, log=log))
        measure(50)
        yield measure
    client.close()


def _forget(jobs: Queue) -> None:
    for job_id in jobs.finished_job_registry.get_job_ids(cleanup=False):
        jobs.finished_job_registry.remove(job_id, delete_job=True)


@contextlib.contextmanager
def _workers(module: str, where: Place) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for number in range(WORKERS):
            stack.enter_context(running(module, log=where.folder / f"worker-{number}.log"))
        yield


def _until(done: Callable[[], bool], what: str) -> None:
    """Look often enough for the figure and seldom enough not to disturb it."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not done():
        audit(expected=True, found=time.monotonic() < deadline, what=f"{what} within {_PATIENCE_SECONDS:g} s")
        time.sleep(0.05)
