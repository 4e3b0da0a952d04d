"""Forget the people behind a merchant's old ghosts, page by page (services/recovery/purge.py)."""

from typing import Any

from core import clock, db
from services.recovery import purge
from services.tasks.schemas import ClaimedTask


def run(task: ClaimedTask) -> dict[str, Any]:
    """Each page is a transaction of its own; a crash between pages leaves the rest to the next run."""
    purged = 0
    while True:
        with db.tenant_session(task.tenant) as session:
            page = purge.purge_due(session, task.tenant, clock.now())
        purged += page
        if page < purge.PAGE:
            return {"purged": purged}
