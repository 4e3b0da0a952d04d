"""Processes that die: a model of SIGKILL inside one real process.

A death is a `BaseException` that unwinds whatever runs. Until the process is started anew its database and Redis
refuse everything, so what stands in `finally` blocks on the way out cannot do what a killed process could not; open
transactions are rolled back, as PostgreSQL does when a connection breaks; leases are left to run out.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any
from unittest import mock

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import Engine, event

from core import crash_points, db, queue
from core.config import settings
from jobs import registry
from tests.simulation.ledger import Ledger


class Died(BaseException):  # no error: nothing of the product may catch it
    """This process is dead."""

    def __init__(self, process: "Process") -> None:
        super().__init__(process.name)
        self.process = process


@dataclass
class Process:
    """One life of a process of PHANTOM's."""

    name: str
    dead: bool = False
    looks: dict[str, "Look"] = field(default_factory=dict)
    """Invoices and subscriptions the task under way has read at Stripe."""
    began: float = 0.0
    """When the task under way began, Unix seconds; 0 without one."""


@dataclass(frozen=True)
class Look:
    """When (a count of all steps) an invoice was read, its status, its subscription's, and its last decline's code."""

    step: int
    invoice: str
    subscription: str
    declined: str = ""
    at_risk: bool = False  # of a subscription: its next charge
    remaining: int = 0  # of an invoice: what is open of it
    is_leaving: bool = False  # its subscription was cancelled by wish, and ends with its period


@dataclass
class Machine:
    """Runs processes and kills them. `rate` is how likely each kind of point is the last one."""

    ledger: Ledger
    chance: Random
    rates: dict[str, float] = field(default_factory=dict)
    stack: list[Process] = field(default_factory=list)
    awake: set[str] = field(default_factory=set)
    """Queues whose workers were woken."""
    lose_announcements: float = 0.0
    statements: int = 0
    """How many PHANTOM has sent so far; while there are no new ones its database is as it was."""
    connections: list["psycopg.Connection[Any]"] = field(default_factory=list)
    """Every connection the engines ever opened."""

    @property
    def current(self) -> Process | None:
        return self.stack[-1] if self.stack else None

    def run(self, name: str, work: Callable[[], Any]) -> bool:
        """Let a new process do `work`; false when it died of it."""
        process = Process(name)
        self.stack.append(process)
        try:
            work()
        except Died as died:
            if died.process is not process:
                raise
            return False
        finally:
            self.stack.pop()
        return True

    def point(self, kind: str, name: str) -> None:
        """Between two steps: the current process may die here."""
        process = self.current
        if process is None:
            return
        if process.dead:
            raise Died(process)
        rate = self.rates.get(kind, 0.0)
        if rate and self.chance.random() < rate:
            process.dead = True
            self.ledger.crashes[name] += 1
            self.ledger.trace.say(f"{process.name} dies at {name}")
            raise Died(process)

    @property
    def in_transaction(self) -> bool:
        """Whether PostgreSQL holds a transaction open for any of PHANTOM's processes."""
        return any(
            one.info.transaction_status == TransactionStatus.INTRANS for one in self.connections if not one.closed
        )

    def refuse_dead(self) -> None:
        process = self.current
        if process is not None and process.dead:
            raise Died(process)

    # -- Redis ----------------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """A worker starts: it looks for work of each lane."""
        self.awake.update(lane.queue for lane in registry.LANES)

    def announce(self, name: str = queue.TASK_QUEUE) -> bool:
        self.refuse_dead()
        if self.lose_announcements and self.chance.random() < self.lose_announcements:
            self.ledger.fault("announcement_lost")
            return False
        self.awake.add(name)
        return True

    def announce_changes(self, _merchants: Any) -> bool:
        self.refuse_dead()
        return True


def _watch(engine: Engine, machine: "MachineOfNow") -> None:
    """Points before and after each commit; nothing for the dead."""
    dialect = engine.dialect
    commit = dialect.do_commit

    def unless_dead(genuine: Callable[..., None]) -> Any:
        def call(*arguments: Any, **named: Any) -> None:
            machine.now.refuse_dead()
            machine.now.statements += 1
            genuine(*arguments, **named)

        return call

    def do_rollback(connection: Any) -> None:
        # The driver's own would also forget every prepared statement, and most of PostgreSQL's work is to plan them.
        raw = getattr(connection, "dbapi_connection", connection)
        if raw.info.transaction_status != TransactionStatus.IDLE:
            raw.pgconn.exec_(b"rollback")

    def do_commit(connection: Any) -> None:
        machine.now.point("commit", "before a commit")
        commit(connection)
        machine.now.point("commit", "after a commit")

    def opened(connection: Any, _record: Any) -> None:
        machine.connections.append(connection)
        connection.prepare_threshold, connection.prepared_max = 1, None
        connection.execute("set plan_cache_mode = force_generic_plan")
        connection.commit()

    def kept(context: Any) -> None:
        # The transaction is rolled back, as PostgreSQL does for the dead; the connection itself serves the next life.
        if isinstance(context.original_exception, Died):
            context.is_disconnect = False

    dialect.do_commit, dialect.do_rollback = do_commit, do_rollback  # type: ignore[method-assign, assignment]
    # Not by SQLAlchemy's events, whose dispatch at each statement costs more than the rest of what the machine does.
    for name in ("do_execute", "do_execute_no_params", "do_executemany"):
        setattr(dialect, name, unless_dead(getattr(dialect, name)))
    event.listen(engine, "connect", opened)
    event.listen(engine, "handle_error", kept)


@dataclass
class MachineOfNow:
    """The machine of the seed under way: engines live longer than a seed."""

    now: Machine
    connections: list["psycopg.Connection[Any]"] = field(default_factory=list)

    def announce(self, name: str = queue.TASK_QUEUE) -> bool:
        return self.now.announce(name)

    def announce_changes(self, merchants: Any) -> bool:
        return self.now.announce_changes(merchants)

    def start(self, machine: Machine) -> Machine:
        """`machine` runs what comes."""
        self.connections[:] = [one for one in self.connections if not one.closed]
        machine.connections, self.now = self.connections, machine
        return machine


def _giving(engine: Engine) -> Callable[[], Engine]:
    """A plain function: a mock would count, and remember, each of thousands of calls."""
    return lambda: engine


@contextlib.contextmanager
def watched_engines(machine: MachineOfNow) -> Iterator[None]:
    """The process's engines, with death built in; the former ones come back afterwards."""
    told = settings()
    application = db.make_application_engine(told.database_url.get_secret_value())
    system = db.make_engine(told.database_system_url.get_secret_value())
    queued = db.make_queue_engine(told.database_system_url.get_secret_value())
    made = (application, system, queued)
    for engine in made:
        engine.pool._pre_ping = False  # a round trip for each transaction, against restarts that do not happen here
        _watch(engine, machine)
    with (
        mock.patch.object(db, "application_engine", _giving(application)),
        mock.patch.object(db, "system_engine", _giving(system)),
        mock.patch.object(db, "queue_engine", _giving(queued)),
        mock.patch.object(queue, "announce_work", machine.announce),
        mock.patch.object(queue, "announce_changes", machine.announce_changes),
        crash_points.reached(lambda name: machine.now.point("named", name)),
    ):
        try:
            yield
        finally:
            for engine in made:
                engine.dispose()
