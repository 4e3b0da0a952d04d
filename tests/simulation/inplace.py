"""What stands in the place of threads, event loops, Redis and real pauses, so that two runs of a seed are the same."""

import contextlib
import math
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from unittest import mock

import psycopg

from core import clock, queue
from jobs import hunt, janitor, registry, runner, sentinel, turns
from services.hunter.pace import Pace
from services.messaging.senders import pace
from services.tasks.schedules import Schedule
from services.tasks.schemas import ClaimedTask

if TYPE_CHECKING:
    from tests.simulation.engine import Engine


class Inline:
    """The hot path's statement on a plain connection: no event loop for one statement."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self._connection = connection

    async def execute(self, statement: Any, parameters: Any) -> Any:
        return self._connection.execute(statement, parameters)


class _Here:
    """An executor without threads: what is fetched ahead is fetched at once, so that two runs are the same."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def submit(self, work: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        try:
            future.set_result(work(*arguments))
        except Exception as error:  # whoever asks for the result gets it; a death goes its own way
            future.set_exception(error)
        return future


def _no_script(*_: Any) -> None:
    """Redis answers nothing: what it would keep for all processes, this one keeps."""


@dataclass(frozen=True)
class _Nap:
    """A wait of a moment, on the virtual clock."""

    sleep: Callable[[float], None]

    def wait(self, seconds: float) -> None:
        self.sleep(seconds)


@dataclass
class _Schedules:
    """What the Sentinel schedules: `Engine.scheduled_now`."""

    engine: "Engine"

    def __iter__(self) -> Iterator[Schedule]:
        return iter(self.engine.scheduled_now())


@contextlib.contextmanager
def in_place(engine: "Engine") -> Iterator[None]:
    """While the block runs tasks tell of themselves, hunts have no threads, and pauses take no real time.

    Partitions are left as they are: making tables for each seed's own year costs more than its month, and rows
    without one go to the default. The lines of senders, which are in Redis, are kept here.
    """

    def hunters(rate: float) -> Pace:
        return Pace(rate, sleep=engine.sleep, monotonic=lambda: clock.now().timestamp())

    with (
        _traced(engine),
        mock.patch.object(hunt, "ThreadPoolExecutor", _Here),
        mock.patch.object(hunt, "Pace", hunters),
        mock.patch.object(janitor, "keep_partitions"),
        mock.patch.object(queue, "script", _no_script),
        mock.patch.object(pace, "_alone", pace.Lines()),
        mock.patch.object(turns, "_nap", _Nap(engine.sleep)),
        # Not by real time, which no seed repeats: a batch settles once, or in some seeds after each task.
        mock.patch.object(runner, "SETTLE_SECONDS", -1.0 if (hasty := engine.chance.random()) < 0.3 else math.inf),
        mock.patch.object(runner, "TURN_SECONDS", -1.0 if hasty < 0.1 else math.inf),
        mock.patch.object(sentinel, "SCHEDULES", _Schedules(engine)),
    ):
        yield


def _traced(engine: "Engine") -> Any:
    """Every task says its name, and forgets what the one before it saw."""
    genuine, ledger = registry.handler, engine.ledger

    def handler(kind: str) -> registry.Handler:
        run = genuine(kind)

        def told(task: ClaimedTask) -> dict[str, Any] | None:
            process = engine.machine.current
            if process is not None:
                process.looks.clear()
                process.began = clock.now().timestamp()
            engine.on_begin(kind)
            ledger.trace.say(f"{process.name if process else ''} runs {kind} {task.key or '-'}")
            event = engine.last_event()
            result = run(task)
            if kind == "hunt":
                engine.hunted = event
            if kind == "handle_event":
                ledger.handled(str(task.payload["event_id"]))
            ledger.trace.say(f"done {result}" if kind != "hunt" else "done")
            return result

        return told

    return mock.patch.object(registry, "handler", handler)
