"""The hourly message round of one merchant: plan what is due, page by page."""

from typing import Any

from core import clock, db
from core.crash_points import crash_point
from services.recovery import pulse
from services.tasks.schemas import ClaimedTask


def run(task: ClaimedTask) -> dict[str, Any]:
    """Each page is a transaction of its own; a crash between pages only leaves the rest to the next pulse."""
    now = clock.now()
    messages = exhausted = 0
    after = None
    while True:
        with db.tenant_session(task.tenant) as session:
            planned = pulse.plan_due(session, task.tenant, now, after)
        crash_point("pulse.page_planned")
        messages, exhausted, after = messages + planned.messages, exhausted + planned.exhausted, planned.after
        if after is None:
            return {"messages": messages, "exhausted": exhausted}
