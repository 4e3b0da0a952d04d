"""Forget the people behind a merchant's old ghosts, page by page (services/recovery/purge.py)."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session

from core import clock, db, true_time
from services.recovery import purge
from services.tasks.errors import Retry
from services.tasks.schemas import ClaimedTask

CLOCK_PAUSE = timedelta(hours=1)


def run(task: ClaimedTask) -> dict[str, Any]:
    """Each page is a transaction of its own; a crash between pages leaves the rest to the next run.

    The next run of a merchant whom no schedule walks is asked for first: this one may give up.
    """
    with db.tenant_session(task.tenant) as session:
        purge.go_on_tomorrow(session, task.tenant)
    try:
        return _purge(task)
    except true_time.ClockAheadError as error:
        raise Retry(after=CLOCK_PAUSE, reason=error.code) from error


def _purge(task: ClaimedTask) -> dict[str, Any]:
    steps = {"purged": purge.purge_due, "unseen": purge.forget_unseen, "links": purge.forget_links}
    return {name: _all_pages(task, forget) for name, forget in steps.items()}


def _all_pages(task: ClaimedTask, forget: Callable[[Session, str, datetime], int]) -> int:
    forgotten = 0
    while True:
        with db.tenant_session(task.tenant) as session:
            page = forget(session, task.tenant, clock.now())
        forgotten += page
        if page < purge.PAGE:
            return forgotten
