"""Where seeds are played: a migrated database of this process, emptied after each, and engines that can be refused."""

import contextlib
import functools
import gc
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, Self
from unittest import mock

import psycopg
from psycopg import _queries

from jobs import leases, runner
from tests.simulation import billing, rates
from tests.simulation.ledger import Ledger
from tests.simulation.process import Machine, MachineOfNow, watched_engines
from tests.support import environment
from tests.support.database import WorkerDatabase

VACUUM_EVERY, COLLECT_EVERY = 25, 4


@dataclass
class Place:
    """What all seeds of a process share."""

    database: WorkerDatabase
    owner: "psycopg.Connection[Any]"
    intake: "psycopg.Connection[Any]"
    machine: MachineOfNow
    played: int = 0

    def clean(self) -> None:
        """Ready for the next seed. Dead rows are vacuumed now and then, for the server's own vacuum never gets to."""
        self.database.empty()
        self.played += 1
        if self.played % COLLECT_EVERY == 0:
            gc.collect()
        if self.played % VACUUM_EVERY == 0:
            self.owner.execute("vacuum")


class _NoHeartbeat(leases.LeaseKeeper):
    """Keeps the books of leases without a thread: its heartbeats are of real time."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """No thread to end."""


@contextlib.contextmanager
def place(database: WorkerDatabase) -> Iterator[Place]:
    """This process's database, prepared; settings must point to it. Heartbeats of real seconds are switched off."""
    database.prepare()
    database.empty()
    gc.freeze()
    gc.disable()  # a seed is short: what it leaves is collected after it, or after the next ones
    machine = MachineOfNow(Machine(Ledger(), Random(0)))  # noqa: S311
    with (
        environment.changed(
            USAGE_METER=billing.METER, RESEND_RATE=str(rates.PER_SECOND), TWILIO_RATE=str(rates.PER_SECOND)
        ),
        psycopg.connect(database.admin_url, autocommit=True) as owner,
        psycopg.connect(database.system_url, autocommit=True, prepare_threshold=1) as intake,
        mock.patch.object(runner, "LeaseKeeper", _NoHeartbeat),
        # The driver remembers how it reads 128 statements; all of PHANTOM's are more, and take turns to be forgotten.
        mock.patch.object(_queries, "_query2pg", functools.lru_cache(2048)(_queries._query2pg_nocache)),
        watched_engines(machine),
    ):
        try:
            yield Place(database, owner, intake, machine)
        finally:
            gc.enable()
            gc.unfreeze()
            database.empty()
