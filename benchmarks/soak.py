"""Ten minutes of ordinary life: webhooks, a worker, the Sentinel and a dashboard that is looked at, on real processes.

What must not happen is that something grows: latencies, dead tuples, memory. And at the end everything that was
acknowledged was handled exactly once, by PHANTOM's own tables and by the money that its handler counted. One long
round: what is compared are its own beginning and end.
"""

import contextlib
import json
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.deliveries import AMOUNT, Deliveries, connect_merchant, event_id
from benchmarks.harness import Place, Row, Samples, alone, audit, percentile, place
from benchmarks.openloop import Answers, Phase, drive, total
from benchmarks.processes import resident_mb, running, worker_processes
from core.embedded.process import free_port

SECONDS = 600.0
RATE = 50.0
WORKERS = 2
FEW_ROWS = 1_000  # below, dead rows in proportion to live ones say nothing: sums are few rows that change all the time
_SLICES = 5
_WINDOWS = 12  # in a slice: the median of their p99s does not hang on one hiccup of the machine
_SAMPLE_SECONDS = 5.0
_LOOKS_A_SLICE = 4  # at least: a short soak is looked at more often
_READS_A_SECOND = 1.0  # at least; the reader pauses 0.2 s
_DRAIN_SECONDS = 120.0

_TABLES = """
select relname, n_dead_tup, n_live_tup, n_tup_ins + n_tup_upd + n_tup_del from pg_stat_user_tables
where schemaname = 'public'
"""
_WAITING = "select count(*) from processed_events where handled_at is null"
_HANDLED = """
select count(*) filter (where handled_at is not null and outcome = 'no_ghost'),
    (select count(*) from scheduled_tasks where kind = 'handle_event' and state = 'done' and attempts = 1)
from processed_events where id >= %(first)s and id < %(last)s
"""
_BILLED = "select coalesce(sum(billed_count), 0)::bigint, coalesce(sum(billed_cents), 0)::bigint from daily_metrics"


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at the database and the processes found."""

    at: float
    tables: dict[str, "Rows"]
    memory: dict[str, float]


@dataclass(frozen=True, slots=True)
class Rows:
    """Of one table: dead and live rows, and how many were ever written, changed or removed."""

    dead: int
    live: int
    written: int


@dataclass
class Watcher:
    """Looks every so many seconds, in a thread of its own."""

    owner_url: str
    every: float
    processes: Callable[[], dict[str, int]]
    looks: list[Look] = field(default_factory=list)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        over, pids = threading.Event(), self.processes()
        with psycopg.connect(self.owner_url, autocommit=True) as owner:
            thread = threading.Thread(target=self._watch, args=(owner, pids, over), name="soak-watcher")
            thread.start()
            try:
                yield
            finally:
                over.set()
                thread.join()

    def _watch(self, owner: "psycopg.Connection[Any]", pids: dict[str, int], over: threading.Event) -> None:
        began = time.monotonic()
        while not over.wait(self.every):
            tables = {str(name): Rows(*map(int, counts)) for name, *counts in owner.execute(_TABLES)}
            memory = {name: resident_mb(pid) for name, pid in pids.items()}
            self.looks.append(Look(time.monotonic() - began, tables, memory))

    def written(self) -> list[str]:
        """The tables that were written to while it watched, by name."""
        first, last = self.looks[0].tables, self.looks[-1].tables
        return sorted(name for name in first if last[name].written > first[name].written)

    def most_dead(self, table: str, begin: float, end: float) -> int:
        return max(look.tables[table].dead for look in self.looks if begin <= look.at < end)

    def memory_growth(self, name: str, since: float) -> float:
        """The last memory ÷ the first one from `since` on."""
        seen = [look.memory[name] for look in self.looks if look.at >= since]
        return seen[-1] / seen[0]


def run(seconds: float = SECONDS, rate: float = RATE) -> list[Row]:
    """Rows about `seconds` of steady life at `rate` deliveries a second."""
    with place() as at, contextlib.ExitStack() as stack:
        merchant, port, deliveries = connect_merchant(), free_port(), Deliveries()
        arguments = ("--headless", "--workers", str(WORKERS), "--port", str(port))
        serve = stack.enter_context(running("phantom_app.serve", *arguments, log=at.folder / "serve.log", port=port))
        worker = stack.enter_context(running("jobs.worker", log=at.folder / "worker.log"))
        sentinel = stack.enter_context(running("jobs.sentinel", log=at.folder / "sentinel.log"))

        def processes() -> dict[str, int]:
            web = {f"web worker {number + 1}": pid for number, pid in enumerate(worker_processes(serve.pid))}
            return {**web, "worker": worker.pid, "sentinel": sentinel.pid}

        first = deliveries.next
        drive(port, [Phase(3.0, rate)], deliveries.make(int(3 * rate)))  # caches, prepared statements
        every = min(_SAMPLE_SECONDS, seconds / _SLICES / _LOOKS_A_SLICE)
        watcher, phases = Watcher(at.logins.owner.url, every, processes), [Phase(seconds, rate)]
        reader_log = at.folder / "reader.log"
        with running("benchmarks.reader", merchant, log=reader_log) as reader, watcher.watching():
            answers = drive(port, phases, deliveries.make(total(phases)))
        audit(expected=0, found=reader.returncode, what="exit code of whoever looked at the dashboard")
        handled = _audit(at, range(first, deliveries.next), answers)
        reads = _reads(reader_log)
        audit_seen(seconds, reads["reads"], watcher)
        return _rows(seconds, handled, answers, watcher, reads)


def _audit(at: Place, numbers: range, answers: Answers) -> int:
    """How many events were handled: each that was delivered, once, by the tables and by the money that was counted."""
    audit(expected=0, found=answers.refused, what="answers that were not 2xx")
    with psycopg.connect(at.logins.owner.url, autocommit=True) as owner:
        deadline = time.monotonic() + _DRAIN_SECONDS
        while (owner.execute(_WAITING).fetchone() or (0,))[0] and time.monotonic() < deadline:
            owner.execute("select pg_sleep(0.2)")
        sent, facts = len(numbers), {"first": event_id(numbers.start), "last": event_id(numbers.stop)}
        handled = owner.execute(_HANDLED, facts).fetchone()
        audit(expected=(sent, sent), found=handled, what="events handled, and tasks done at the first attempt")
        audit(expected=(sent, sent * AMOUNT), found=owner.execute(_BILLED).fetchone(), what="invoices billed, cents")
    return sent


def audit_seen(seconds: float, reads: float, watcher: Watcher) -> None:
    """The dashboard was looked at, and the processes in every part of the time that a figure is taken from."""
    audit(expected=True, found=reads >= _READS_A_SECOND * seconds, what=f"a read of the dashboard a second ({reads:g})")
    part = seconds / _SLICES
    looks = [sum(part * number <= look.at < part * (number + 1) for look in watcher.looks) for number in range(_SLICES)]
    enough = min(looks) >= _LOOKS_A_SLICE / 2
    audit(expected=True, found=enough, what=f"enough looks in each fifth of the time ({looks})")


def _reads(log: Path) -> dict[str, float]:
    said: dict[str, float] = json.loads(log.read_text().splitlines()[-1])
    return said


def _slice_p99(answers: Answers, begin: float, length: float) -> Samples:
    step = length / _WINDOWS
    windows = [answers.between(begin + number * step, begin + (number + 1) * step) for number in range(_WINDOWS)]
    audit(expected=_WINDOWS, found=sum(map(bool, windows)), what="parts of a fifth with deliveries in them")
    return Samples(tuple(percentile(window, 0.99) for window in windows))


def _rows(seconds: float, handled: int, answers: Answers, watcher: Watcher, reads: dict[str, float]) -> list[Row]:
    part = seconds / _SLICES
    first, last = _slice_p99(answers, 0.0, part), _slice_p99(answers, seconds - part, part)
    everything = answers.between(0.0, seconds)
    rows = [
        Row("soak p99 drift", last.median, "ms", "p99 of the first fifth", first.median, last.median / first.median,
            1, 0.0, "<= 1.1x"),
        alone("soak p99", Samples((percentile(everything, 0.99),)), "ms", "<= 50 ms"),
        alone("soak events handled, each exactly once", Samples((float(handled),)), "events", "all delivered"),
        alone("soak dashboard p99", Samples((reads["p99"],)), "ms", "<= 20 ms"),
        alone("soak dashboard reads", Samples((reads["reads"],)), "reads", "reported"),
    ]  # fmt: skip
    for table in watcher.written():
        rows += _dead_rows(watcher, table, part, seconds)
    for name in watcher.looks[-1].memory:
        now = statistics.median(look.memory[name] for look in watcher.looks[-3:])
        growth = watcher.memory_growth(name, part)
        rows.append(Row(f"soak memory of the {name}", now, "MB", "after the first fifth", now / growth, growth,
                        1, 0.0, "<= 1.1x"))  # fmt: skip
    return rows


def _dead_rows(watcher: Watcher, table: str, part: float, seconds: float) -> list[Row]:
    """How many dead rows a table had at most near the end, against early on; and in proportion to its live ones."""
    early, late = watcher.most_dead(table, part, 2 * part), watcher.most_dead(table, 4 * part, seconds + part)
    live = watcher.looks[-1].tables[table].live
    name = f"soak dead rows of {table}"
    goal = f"<= 1.5x, or fewer than {FEW_ROWS:,}"
    row = Row(name, late, "rows", "the most of the second fifth", early, late / max(early, 1), 1, 0.0, goal)
    if live < FEW_ROWS:
        return [row]
    return [row, alone(f"{name} per live row", Samples((late / live,)), "", "<= 0.5")]
