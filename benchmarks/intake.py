"""Webhook intake against a bare insert in the same server, and against PostgreSQL alone (PRODUCT §9).

All three store bodies of the same size with 64 clients. Intake verifies, dedupes, stores the event and its task and
answers after the commit; the bare route stores a row; pgbench stores the same two rows in a transaction.
"""

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from benchmarks import bare
from benchmarks.cores import Cores, postmaster_of, rows_of
from benchmarks.deliveries import ACCOUNT, BODY_BYTES, Deliveries, connect_merchant
from benchmarks.harness import ROUNDS, AuditError, Place, Row, Samples, alternate, audit, compared, place
from benchmarks.processes import running
from benchmarks.tools import CONNECTIONS, Load, find_pgbench, find_wrk, run_pgbench, run_wrk
from core.embedded.process import free_port

SECONDS = 5
VS_BARE, VS_PGBENCH = "webhook intake vs bare starlette insert", "webhook intake vs pgbench insert"
WORKERS = 1  # of each server: with PostgreSQL on the same two cores a second one costs more than it brings
SEVERAL_WORKERS, SEVERAL_ROUNDS = 2, ROUNDS  # beside it, for machines where a second one has a core
Running = contextlib.AbstractContextManager["subprocess.Popen[bytes]"]
_ENOUGH = 20_000.0  # requests a second that no server here reaches

# The two rows as intake writes them. Each client counts its ids up, all clients side by side: what intake and the bare
# route get ascends too and has sixteen digits, and a random id costs an index more.
_TWO_ROWS = """\\set n :n + 1
\\set id 1000000000000000 + :n * :clients + :client_id
begin;
insert into processed_events (id, source, type, account, merchant_id, livemode, payload, received_at, outcome)
    values ('evt_' || :id::text, 'stripe', 'invoice.paid', :account, :merchant, false, :payload, now(), '');
insert into scheduled_tasks (state, kind, key, merchant_id, payload, priority, run_at, correlation_id, created_at)
    values ('pending', 'handle_event', 'event:' || 'evt_' || :id::text, :merchant,
        jsonb_build_object('event_id', 'evt_' || :id::text), 10, now(), 'evt_' || :id::text, now());
end;
"""


@dataclass
class Contest:
    """The servers that are measured, and how to see what they stored."""

    at: Place
    intake_port: int
    bare_port: int
    seconds: int
    merchant: str
    cores: dict[int, Cores]
    """By port: who has had which part of the processors."""
    deliveries: Deliveries = field(default_factory=Deliveries)

    def intake(self) -> float:
        """Acknowledged events a second; audited: all are stored, each once, each with its task, nothing else is."""
        self._empty("processed_events", "scheduled_tasks")
        load = self._load(self.intake_port)
        stored, with_task, tasks = self._counts(
            "(select count(*) from processed_events where handled_at is null and payload is not null)",
            "(select count(*) from processed_events event join scheduled_tasks on key = 'event:' || event.id)",
            "(select count(*) from scheduled_tasks)",
        )
        _audit_stored(load, stored)
        audit(expected=(stored, stored), found=(with_task, tasks), what="intake: events with their task, and tasks")
        return load.rate

    def bare(self) -> float:
        self._empty(bare.TABLE)
        load = self._load(self.bare_port)
        [stored] = self._counts(f"(select count(*) from {bare.TABLE})")  # noqa: S608  # a constant
        _audit_stored(load, stored)
        return load.rate

    def pgbench(self) -> float:
        self._empty("processed_events", "scheduled_tasks")
        variables = {
            "n": "0",
            "clients": str(CONNECTIONS),
            "payload": "x" * BODY_BYTES,
            "account": ACCOUNT,
            "merchant": self.merchant,
        }
        done, rate = run_pgbench(self.at.logins.platform.url, _TWO_ROWS, self.seconds, variables, self.at.folder)
        stored = self._counts("(select count(*) from processed_events)", "(select count(*) from scheduled_tasks)")
        audit(expected=[done, done], found=stored, what="pgbench: rows for its transactions")
        return rate

    def _load(self, port: int) -> Load:
        with self.cores[port].counting():
            load = run_wrk(port, self.deliveries, self.seconds, _ENOUGH / 1.6, self.at.folder)
        self.cores[port].loaded(load)
        audit(expected=(0, 0), found=(load.refused, load.broken), what="answers not 2xx, and broken connections")
        return load

    def _empty(self, *tables: str) -> None:
        with psycopg.connect(self.at.logins.owner.url, autocommit=True) as owner:
            owner.execute(f"truncate {', '.join(tables)}".encode())
            owner.execute("checkpoint")  # each run pays for its own

    def _counts(self, *expressions: str) -> list[int]:
        """Of one snapshot: what was in flight when the load ended may still be coming in."""
        with psycopg.connect(self.at.logins.owner.url, autocommit=True) as owner:
            row = owner.execute(f"select {', '.join(expressions)}".encode()).fetchone() or ()
        return [int(str(value)) for value in row]


def _audit_stored(load: Load, stored: int) -> None:
    """What is in flight when the load ends may be stored without having been acknowledged; never the other way."""
    if not 0 < load.acknowledged <= stored <= load.acknowledged + CONNECTIONS:
        raise AuditError(f"{load.acknowledged} acknowledged, {stored} stored, {CONNECTIONS} connections")


@contextlib.contextmanager
def contest(seconds: int, workers: int) -> Iterator[Contest]:
    """PHANTOM and the control, both up, each with `workers` workers; only one is under load at a time."""
    with place() as at, contextlib.ExitStack() as stack:
        merchant = connect_merchant()
        bare.create_table()
        intake_port, bare_port = free_port(), free_port()
        options = ("--workers", str(workers))
        ours = stack.enter_context(_server("phantom_app.serve", at.folder, intake_port, "--headless", *options))
        theirs = stack.enter_context(_server("benchmarks.bare", at.folder, bare_port, *options))
        postmaster = postmaster_of(at.logins.owner.url)
        cores = {port: Cores(web.pid, postmaster) for port, web in ((intake_port, ours), (bare_port, theirs))}
        yield Contest(at, intake_port, bare_port, seconds, merchant, cores)


def _server(
    module: str, folder: Path, port: int, *options: str
) -> contextlib.AbstractContextManager["subprocess.Popen[bytes]"]:
    return running(module, "--port", str(port), *options, log=folder / f"{module}.log", port=port)


def run(rounds: int = ROUNDS, seconds: int = SECONDS, several_rounds: int = SEVERAL_ROUNDS) -> list[Row]:
    """Intake against both controls with one worker of each server, and against the bare route with two."""
    find_wrk()
    find_pgbench()
    with contest(seconds, WORKERS) as one:
        taken = _warm_and_alternate({"intake": one.intake, "bare": one.bare, "pgbench": one.pgbench}, rounds)
    with contest(seconds, SEVERAL_WORKERS) as several:
        more = _warm_and_alternate({"intake": several.intake, "bare": several.bare}, several_rounds)
        spent = rows_of(
            f"webhook intake, {SEVERAL_WORKERS} workers",
            several.cores[several.intake_port].rounds[-several_rounds:],
            "bare Starlette + psycopg route",
            several.cores[several.bare_port].rounds[-several_rounds:],
        )
    control = "bare Starlette + psycopg route that inserts one row"
    prepared = "pgbench -M prepared, the same two rows in one transaction"
    return [
        compared(VS_BARE, taken["intake"], "events/s", control, taken["bare"], ">= 2.0x"),
        compared(VS_PGBENCH, taken["intake"], "events/s", prepared, taken["pgbench"], ">= 0.8x"),
        compared(
            f"{VS_BARE}, {SEVERAL_WORKERS} workers", more["intake"], "events/s", control, more["bare"], "reported"
        ),
        *spent,
    ]


def _warm_and_alternate(measurements: dict[str, Callable[[], float]], rounds: int) -> dict[str, Samples]:
    for measure in measurements.values():
        measure()  # caches, prepared statements, files of the tables
    return alternate(measurements, rounds)
