"""A bench at a small size, as `phantom bench --json` runs it: `python -m tests.support.small_benches NAME [spoilt]`.

With `spoilt` something happens behind the bench's back that its counts must show. Nothing here depends on how quick
the machine is: where a bench waits for a pace, the small one asks for a slow one.
"""

import functools
import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from types import ModuleType
from typing import Any

import psycopg
from sqlalchemy import text

from benchmarks import __main__ as program
from benchmarks import burst, dashboard, hunt, intake, probe, tools, wakeup
from benchmarks.deliveries import event_id
from benchmarks.history import House, Past
from benchmarks.openloop import Answers
from core import db, queue
from tests.support.wait import wait_until

SLOW = 40.0  # tasks a second that any machine starts


@dataclass(frozen=True)
class Small:
    """The sizes of a bench, what makes it slow, and what its audit must see."""

    sizes: dict[str, Any]
    spoil: Callable[[], None]
    slow_down: Callable[[], None] = lambda: None


def after(where: ModuleType | type, name: str, then: Callable[..., object]) -> None:
    """Have something happen each time that a function of a bench is through; it is given what the function was."""
    real = getattr(where, name)

    def both(*given: Any, **named: Any) -> Any:
        answer = real(*given, **named)
        then(*given, **named)
        return answer

    setattr(where, name, both)


def before(where: ModuleType | type, name: str, first: Callable[..., object]) -> None:
    real = getattr(where, name)

    def both(*given: Any, **named: Any) -> Any:
        first(*given, **named)
        return real(*given, **named)

    setattr(where, name, both)


def execute(url: str, statement: str, **facts: object) -> None:
    with psycopg.connect(url, autocommit=True) as owner:
        assert owner.execute(statement.encode(), facts).rowcount > 0


# -- what the audits must see


def count_one_more_in_the_sums() -> None:
    def count(home: House, _past: Past, today: date) -> None:
        execute(home.owner_url, "update daily_metrics set found_count = found_count + 1 where day = %(day)s", day=today)

    after(dashboard, "live", count)


def start_what_nobody_committed() -> None:
    after(wakeup, "_forget", lambda: queue.connection().rpush(probe.NOTES, "0 1.0"))


def let_one_more_fail() -> None:
    real = hunt._merchant_with
    hunt._merchant_with = lambda sandbox, ghosts: real(sandbox, ghosts + 1)


def lose_an_acknowledged_event() -> None:
    def lose(owner_url: str, _answers: Answers, first: int) -> None:
        execute(owner_url, "delete from processed_events where id = %(id)s", id=event_id(first))

    before(burst, "check", lose)


def lose_the_task_of_an_event() -> None:
    def lose(contest: intake.Contest, _port: int) -> None:
        owner = contest.at.logins.owner.url
        execute(owner, "delete from scheduled_tasks where id = (select min(id) from scheduled_tasks)")

    after(intake.Contest, "_load", lose)


# -- what a busy machine could not keep up with


def ask_for_few_tasks_a_second() -> None:
    real = wakeup._peak
    wakeup._peak = lambda count: min(real(count), SLOW)
    wakeup._OFFERED_AT_LEAST = 0.1


def wait_for_the_worker() -> None:
    """It may take longer to start than the whole of a small burst."""

    def is_at_work() -> bool:
        with db.system_session() as session:
            return bool(session.execute(text(_AT_WORK)).scalar_one())

    before(burst, "drive", lambda *_: wait_until(is_at_work, what="the worker is at work", timeout=60))


def come_with_four() -> None:
    """Connecting 64 clients of pgbench may take longer than the whole of a small round."""
    tools.CONNECTIONS = intake.CONNECTIONS = 4


_AT_WORK = "select exists (select from processed_events where handled_at is not null)"

SMALL = {
    "dashboard": Small(
        {"rounds": 1, "reads": 10, "young": Past(90, 1, 30), "old": Past(9_000, 1, 30)}, count_one_more_in_the_sums
    ),
    "wakeup": Small(
        {"rounds": 1, "load_seconds": 1.5, "peak": 40, "kill_rounds": 0},
        start_what_nobody_committed,
        ask_for_few_tasks_a_second,
    ),
    "hunt": Small({"ghosts": 50}, let_one_more_fail),
    "burst": Small(
        {"rounds": 1, "backlog": 3_000, "burst_seconds": 0.5, "steady_seconds": 0.5, "peak_seconds": 1},
        lose_an_acknowledged_event,
        wait_for_the_worker,
    ),
    "intake": Small({"rounds": 1, "seconds": 1, "several_rounds": 1}, lose_the_task_of_an_event, come_with_four),
}


def main(name: str, *spoilt: str) -> int:
    small, module = SMALL[name], importlib.import_module(f"benchmarks.{name}")
    small.slow_down()
    if spoilt:
        small.spoil()
    module.run = functools.partial(module.run, **small.sizes)
    return program.main(["--json", name])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
