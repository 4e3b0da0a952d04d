"""Who has had which part of the processors while a server was under load: the generator, the web, PostgreSQL.

On a machine whose cores they share, a rate says little without it: what one of them takes another cannot have.
"""

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from benchmarks.harness import Row, Samples, compared
from benchmarks.processes import tree_seconds
from benchmarks.tools import Load

GENERATOR, WEB, POSTGRESQL = "the load generator", "the web processes", "PostgreSQL"


@dataclass(frozen=True, slots=True)
class Round:
    """Processor seconds of one round by who had them, how long it was, and how many events were acknowledged in it."""

    seconds: dict[str, float]
    lasted: float
    events: int

    def microseconds(self, *who: str) -> float:
        """Of each event."""
        return sum(self.seconds[each] for each in who) / self.events * 1e6

    @property
    def busy(self) -> float:
        """Processors that all of them together kept busy."""
        return sum(self.seconds.values()) / self.lasted


@dataclass
class Cores:
    """Watches one server and the PostgreSQL behind it."""

    web: int
    postmaster: int
    rounds: list[Round] = field(default_factory=list)
    _now: tuple[dict[str, float], float] = field(default=({}, 0.0))

    @contextlib.contextmanager
    def counting(self) -> Iterator[None]:
        """A round; `loaded` says afterwards what came of it."""
        before, began = self._seconds(), time.monotonic()
        yield
        after, lasted = self._seconds(), time.monotonic() - began
        self._now = {who: after[who] - before[who] for who in after}, lasted

    def loaded(self, load: Load) -> None:
        seconds, lasted = self._now
        self.rounds.append(Round({**seconds, GENERATOR: load.cpu_seconds}, lasted, load.acknowledged))

    def _seconds(self) -> dict[str, float]:
        return {WEB: tree_seconds(self.web), POSTGRESQL: tree_seconds(self.postmaster)}


def postmaster_of(url: str) -> int:
    """The process that all processes of a PostgreSQL on this machine are children of."""
    with psycopg.connect(url) as connection:
        backend = connection.info.backend_pid
        return int(Path(f"/proc/{backend}/stat").read_text().rpartition(")")[2].split()[1])


def rows_of(measure: str, ours: Sequence[Round], control: str, theirs: Sequence[Round]) -> list[Row]:
    """Microseconds of an event, in all and by who had them, and how many processors were busy."""

    def of(*who: str) -> tuple[Samples, Samples]:
        mine, other = (Samples(tuple(each.microseconds(*who) for each in side)) for side in (ours, theirs))
        return mine, other

    everybody = (GENERATOR, WEB, POSTGRESQL)
    busy, their_busy = (Samples(tuple(each.busy for each in side)) for side in (ours, theirs))
    about = {"processor time an event": everybody, **{f"of it {each}": (each,) for each in everybody}}
    return [
        compared(f"{measure}: {name}", mine, "µs", control, other, "reported")
        for name, (mine, other) in ((name, of(*who)) for name, who in about.items())
    ] + [compared(f"{measure}: processors busy", busy, f"of {os.cpu_count()}", control, their_busy, "reported")]
