"""Playing seeds in a process: its database and settings once, then one seed after another."""

import contextlib
import dataclasses
import logging
import traceback
from dataclasses import dataclass, field
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

from tests.simulation.ledger import Ledger
from tests.simulation.place import Place, place
from tests.simulation.play import InvariantError, Play
from tests.support import environment
from tests.support.database import WorkerDatabase
from tests.support.servers import RunServers

_NOWHERE = "redis://127.0.0.1:1/0"  # announcements are carried by the simulation
_place: Place | None = None
_open = contextlib.ExitStack()


@dataclass(frozen=True)
class Outcome:
    """What came of a seed; plain values, to cross to another process."""

    seed: int
    violation: str
    hash: str
    steps: int
    ghosts: int
    messages: int
    recoveries: int
    reversals: int
    tasks: int
    crashes: dict[str, int]
    faults: dict[str, int]
    came_of_it: dict[str, int]
    last_steps: tuple[str, ...] = field(default=())


def prepare(servers: dict[str, Any], counter: "Synchronized[int]") -> None:
    """Once a process: a database of its own, and settings that point to it."""
    global _place
    with counter.get_lock():
        counter.value += 1
        number = counter.value
    run = dataclasses.replace(RunServers(**servers), by_socket=True)
    database = WorkerDatabase(run, f"simulation_{number}")
    folder = Path(run.folder) / f"simulation_{number}"
    folder.mkdir()
    environment.install(
        environment.test_environment(
            folder=folder,
            database_url=database.url,
            system_url=database.system_url,
            admin_url=database.admin_url,
            redis_url=_NOWHERE,
        )
    )
    logging.disable(logging.CRITICAL)  # thousands of crashes are meant
    _place = _open.enter_context(place(database))


def leave() -> None:
    """Close what `prepare` opened."""
    _open.close()


def play_one(work: tuple[int, int]) -> Outcome:
    """One seed in this process's place."""
    assert _place is not None
    return play_seed(_place, *work)


def play_seed(where: Place, seed: int, days: int) -> Outcome:
    """Play a seed; what raises unforeseen is a violation like any other."""
    play = Play(seed, where, days)
    violation = ""
    try:
        play.run()
    except InvariantError as error:
        violation = str(error)
    except Exception as error:  # the engine must not raise at all: that is what is judged here
        violation = f"nothing raises unforeseen: {type(error).__name__}: {error}"
        play.ledger.trace.last.extend(traceback.format_exc().splitlines()[-30:])
    found = _outcome(where, seed, play.ledger, violation)
    play.forget()
    where.clean()
    return found


def _outcome(where: Place, seed: int, ledger: Ledger, violation: str) -> Outcome:
    def count(query: str) -> int:
        row = where.owner.execute(query.encode()).fetchone()
        return int(row[0]) if row else 0

    return Outcome(
        seed=seed,
        violation=violation,
        hash=ledger.trace.hash,
        steps=ledger.trace.steps,
        ghosts=count("select count(*) from ghost_targets"),
        messages=len(ledger.mails),
        recoveries=count("select count(*) from recoveries where kind = 'recovered'"),
        reversals=count("select count(*) from recoveries where kind = 'reversed'"),
        tasks=count("select count(*) from scheduled_tasks"),
        crashes=dict(ledger.crashes),
        faults=dict(ledger.faults),
        came_of_it=dict(ledger.came_of_it),
        last_steps=tuple(ledger.trace.last),
    )
