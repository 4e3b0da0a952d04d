"""The kinds of task that benches of the queue run, and how a worker process learns of them."""

import functools
import os
import time
from datetime import timedelta
from typing import Any

from sqlalchemy import text

from core import clock, db, queue
from jobs import registry
from services.tasks.schemas import ClaimedTask

LINE, EFFECT, NOTE, HOLD = "bench_line", "bench_effect", "bench_note", "bench_hold"
MERCHANT = "mer_bench"
NOTES = "bench:notes"  # a Redis list of "task nanoseconds"

_EFFECT = text(
    "insert into hunt_spool (merchant_id, hunt_id, object_id, facts) values (:merchant, 'bench', :task, '{}')"
)


def run(task: ClaimedTask) -> dict[str, Any]:
    return {LINE: _line, EFFECT: _effect, NOTE: _note, HOLD: _hold}[task.kind](task)


def _line(task: ClaimedTask) -> dict[str, Any]:
    """One line in a file that all workers append to: the least effect that can be counted afterwards."""
    line = f"{task.id}\n".encode()
    os.write(_lines(str(task.payload["file"])), line)  # one write of O_APPEND is never torn by another
    return {}


@functools.cache
def _lines(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def _effect(task: ClaimedTask) -> dict[str, Any]:
    """One row in a tenant's table, in a transaction of its own; a second time would break its key."""
    with db.tenant_session(task.tenant) as session:
        session.execute(_EFFECT, {"merchant": task.tenant, "task": str(task.id)})
    return {}


def _note(task: ClaimedTask) -> dict[str, Any]:
    """Say when it started, by the machine's clock."""
    started = clock.now().timestamp()
    queue.connection().rpush(NOTES, f"{task.id} {started:.6f}")
    return {}


def _hold(task: ClaimedTask) -> dict[str, Any]:
    """Say when it started, then stay until killed: what is measured is when it starts for the second time."""
    _note(task)
    if task.deaths == 0 and not task.suspect:
        time.sleep(float(task.payload["seconds"]))
    return {}


def register() -> None:
    """Make the kinds known to this process."""
    for kind in (LINE, EFFECT, NOTE, HOLD):
        registry.KINDS[kind] = registry.Kind("benchmarks.probe", timedelta(seconds=60))
