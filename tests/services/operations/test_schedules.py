"""When a merchant's schedules ran and run next."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from core import db
from core.clock import ManualClock
from services.operations.schedules import ScheduleView, schedule_views
from services.tasks.schedules import HUNT, PULSE, Schedule, slot_key
from tests.services.tasks.support import put
from tests.support.factories import make_merchant

pytestmark = pytest.mark.usefixtures("database", "redis_url")


def views(merchant: str, *, connected: bool = True) -> dict[str, ScheduleView]:
    with db.tenant_session(merchant) as session:
        return {view.kind: view for view in schedule_views(session, merchant, connected=connected)}


def scheduled(merchant: str, schedule: Schedule, clock: ManualClock, **state: object) -> None:
    number = put(
        schedule.kind, merchant_id=merchant, key=slot_key(schedule.kind, merchant, schedule.slot(merchant, clock.now()))
    )
    with db.system_session() as session:
        for column, value in state.items():
            session.execute(
                text(f"update scheduled_tasks set {column} = :value where id = :id"),  # noqa: S608  # names above
                {"value": value, "id": number},
            )


class TestScheduleViews:
    def test_before_the_first_run(self, clock: ManualClock) -> None:
        merchant = make_merchant()
        found = views(merchant)
        assert (found["hunt"].last_at, found["hunt"].state) == (None, "")
        assert found["hunt"].next_at == HUNT.begins(merchant, HUNT.slot(merchant, clock.now()) + 1)
        assert found["hunt"].next_at > clock.now()
        assert found["pulse"].next_at == clock.now().replace(hour=10)

    def test_the_latest_run_of_each(self, clock: ManualClock) -> None:
        merchant = make_merchant()
        for hours in (0, 12):
            clock.advance(timedelta(hours=hours))
            scheduled(merchant, HUNT, clock, state="done", finished_at=clock.now() + timedelta(minutes=2))
        scheduled(merchant, PULSE, clock, state="dead", last_error="It took longer than 0:05:00.")
        found = views(merchant)
        assert (found["hunt"].state, found["hunt"].last_at) == ("done", clock.now() + timedelta(minutes=2))
        assert (found["pulse"].state, found["pulse"].error) == ("dead", "It took longer than 0:05:00.")

    def test_of_nobody_else(self, clock: ManualClock) -> None:
        scheduled(make_merchant(), HUNT, clock)
        assert views(make_merchant())["hunt"].state == ""

    def test_who_is_not_connected_has_no_next_run(self, clock: ManualClock) -> None:
        assert views(make_merchant(), connected=False)["hunt"].next_at is None
