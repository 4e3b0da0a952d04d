"""When each type of event was last seen of a merchant: told by those that were handled, to five minutes."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from core import clock as core_clock
from core import db
from core.clock import ManualClock
from services.handshake import service
from tests.services.handshake.support import MERCHANT, connect_account, rows

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture(autouse=True)
def account(database: object, clock: ManualClock) -> None:
    connect_account()


def handled(identifier: str, kind: str = "invoice.paid", merchant_id: str | None = MERCHANT) -> None:
    """An event that was received now and dealt with."""
    with db.system_session() as session:
        session.execute(
            text(
                "insert into processed_events (id, source, type, merchant_id, livemode, outcome, payload, received_at)"
                " values (:id, 'stripe', :kind, :merchant_id, false, '', 'x', :now)"
            ),
            {"id": identifier, "kind": kind, "merchant_id": merchant_id, "now": core_clock.now()},
        )
        service.mark_handled(session, identifier, "unchanged")


def sightings() -> dict[str, datetime]:
    found = rows("select type, last_at from webhook_sightings where merchant_id = :mine", mine=MERCHANT)
    return {str(row["type"]): row["last_at"] for row in found}


def test_the_latest_of_each_type(clock: ManualClock) -> None:
    began = clock.now()
    handled("evt_1", "invoice.paid")
    clock.advance(timedelta(hours=1))
    handled("evt_2", "invoice.payment_failed")
    assert sightings() == {"invoice.paid": began, "invoice.payment_failed": clock.now()}


def test_within_five_minutes_nothing_is_written_again(clock: ManualClock) -> None:
    began = clock.now()
    handled("evt_1")
    clock.advance(timedelta(minutes=4, seconds=59))
    handled("evt_2")
    assert sightings() == {"invoice.paid": began}
    clock.advance(timedelta(seconds=1))
    handled("evt_3")
    assert sightings() == {"invoice.paid": began + timedelta(minutes=5)}


def test_one_that_is_handled_late_takes_nothing_back(clock: ManualClock) -> None:
    handled("evt_1")
    latest = clock.now()
    clock.advance(timedelta(days=-2))
    handled("evt_0")
    assert sightings() == {"invoice.paid": latest}


def test_a_repetition_is_no_news(clock: ManualClock) -> None:
    handled("evt_1")
    seen = sightings()
    clock.advance(timedelta(hours=1))
    with db.system_session() as session:
        service.mark_handled(session, "evt_1", "again")
    assert sightings() == seen
    assert rows("select outcome, payload from processed_events") == [{"outcome": "unchanged", "payload": None}]


def test_of_nobody_nothing_is_kept() -> None:
    handled("evt_1", merchant_id=None)
    assert rows("select * from webhook_sightings") == []


def test_a_merchant_sees_its_own_alone() -> None:
    handled("evt_1")
    connect_account("acct_other", "mer_other")
    handled("evt_2", merchant_id="mer_other")
    with db.tenant_session("mer_other") as session:
        assert session.execute(text("select merchant_id from webhook_sightings")).scalars().all() == ["mer_other"]
