"""When each of a merchant's schedules ran last and runs next."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session

from core import clock
from services.operations import repository
from services.tasks.schedules import SCHEDULES, slot_key

_SLOTS = 4


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """`last_at` is when the latest run ended, or was due while it waits; None before the first. `state` is its task's.

    `next_at` is when the coming period begins; None for a merchant without a connected account.
    """

    kind: str
    every: timedelta
    next_at: datetime | None
    last_at: datetime | None
    state: str
    error: str


def schedule_views(session: Session, merchant_id: str, *, connected: bool) -> tuple[ScheduleView, ...]:
    """The merchant's schedules, told by the tasks of the last four periods. Tenant or system session."""
    now = clock.now()
    views = []
    for schedule in filter(lambda each: each.is_on, SCHEDULES):
        present = schedule.slot(merchant_id, now)
        keys = [slot_key(schedule.kind, merchant_id, present - back) for back in range(_SLOTS)]
        last = repository.latest_of(session, merchant_id, keys)
        coming = schedule.begins(merchant_id, present + 1)
        views.append(
            ScheduleView(
                kind=schedule.kind,
                every=schedule.every,
                next_at=coming if connected else None,
                last_at=(last.finished_at or last.run_at) if last else None,
                state=last.state if last else "",
                error=last.last_error if last else "",
            )
        )
    return tuple(views)
