"""Ten tasks behind a million: how long one merchant's few wait while another's flood is being worked on.

Rows of `bench tasks`. The flood is written by SQL, as a hunt of a large account or a storm of webhooks would leave it;
two workers are at it all the while. The control are the same ten with nothing else waiting, before the flood and after
it. Time counts from the commit of the ten to the last of them being done, by the clock that wrote both down.
"""

import time
from collections.abc import Callable
from typing import Any

import psycopg
from sqlalchemy import text

from benchmarks.harness import Place, Row, Samples, audit, percentile
from benchmarks.probe import LINE
from core import clock, db, queue
from services.tasks import service as tasks

FLOOD, FEW, TURNS = 1_000_000, 10, 20
MANY_OF, FEW_OF = "mer_flood", "mer_few"
_PATIENCE_SECONDS = 60.0

_FLOOD = """
insert into scheduled_tasks (state, kind, merchant_id, payload, priority, run_at, correlation_id, created_at)
select 'pending', %(kind)s, %(merchant)s, jsonb_build_object('file', %(file)s::text), 10, now(), '', now()
from generate_series(1, %(count)s)
"""
_LEFT = "select count(*) from scheduled_tasks where merchant_id = %s and state = 'pending'"
_DONE = text("""
select count(*) filter (where state = 'done' and attempts = 1), max(finished_at) from scheduled_tasks
where id = any(:ids)
""")


def rows(where: Place, flood: int = FLOOD, turns: int = TURNS) -> list[Row]:
    """The ten behind the flood against the ten behind nothing, p50 and the slowest. Workers of `probe` are running."""
    with psycopg.connect(where.logins.owner.url, autocommit=True) as owner:
        owner.execute("truncate scheduled_tasks")
        _ten(where)  # connections, imports, plans
        alone = [_ten(where) for _ in range(turns)]
        _pour(where, owner, flood)
        began, before = time.monotonic(), _left(owner)
        behind = [_ten(where) for _ in range(turns)]
        waited, left = time.monotonic() - began, _left(owner)
        audit(expected=True, found=0 < left < before, what="the flood was worked on all the while, and is not over")
        owner.execute("truncate scheduled_tasks")
        alone += [_ten(where) for _ in range(turns)]
    name, taken = f"ten tasks behind {flood:,} of another merchant", (before - left) / waited
    return [
        _row(f"{name}, p50", behind, alone, lambda seconds: percentile(seconds, 0.5)),
        _row(f"{name}, the slowest of {turns} times", behind, alone, max),
        Row(f"{name}: meanwhile done of theirs", taken, "tasks/s", None, None, None, 1, 0.0, "reported"),
    ]


def _row(measure: str, behind: list[float], alone: list[float], figure: Callable[[list[float]], float]) -> Row:
    mine, theirs = figure(behind) * 1000, figure(alone) * 1000
    spread = Samples(tuple(behind)).spread
    return Row(measure, mine, "ms", "nothing else waiting", theirs, mine / theirs, len(behind), spread, "<= 250 ms")


def _pour(where: Place, owner: "psycopg.Connection[Any]", count: int) -> None:
    facts = {"kind": LINE, "merchant": MANY_OF, "file": str(where.folder / "flood-lines"), "count": count}
    owner.execute(_FLOOD, facts)
    owner.execute("vacuum analyze scheduled_tasks")  # as autovacuum would, and not while we measure
    owner.execute("checkpoint")
    queue.announce_work()


def _left(owner: "psycopg.Connection[Any]") -> int:
    row = owner.execute(_LEFT, (MANY_OF,)).fetchone()
    return int(row[0]) if row else 0


def _ten(where: Place) -> float:
    """Seconds until all are done, each at its first attempt and once."""
    path = where.folder / f"few-{time.monotonic_ns()}"
    with db.system_session() as session:
        ids = [
            tasks.schedule(session, kind=LINE, merchant_id=FEW_OF, payload={"file": str(path)}, priority=10)
            for _ in range(FEW)
        ]
    committed = clock.now()
    queue.announce_work()
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        with db.system_session() as session:
            done, last = session.execute(_DONE, {"ids": ids}).one()
        if done == FEW:
            break
        audit(expected=True, found=time.monotonic() < deadline, what=f"{FEW} tasks are done in {_PATIENCE_SECONDS:g} s")
        time.sleep(0.01)
    audit(expected=sorted(map(str, ids)), found=sorted(path.read_text().split()), what="lines that the few left")
    return float((last - committed).total_seconds())
