"""Forget the people behind a merchant's old ghosts, page by page (services/recovery/purge.py)."""

from datetime import timedelta
from typing import Any

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
    purged = 0
    while True:
        with db.tenant_session(task.tenant) as session:
            page = purge.purge_due(session, task.tenant, clock.now())
        purged += page
        if page < purge.PAGE:
            return {"purged": purged}
