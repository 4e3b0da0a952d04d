"""The judge of usage reports: what happens around midnight may be told with either day, and nothing else may."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.simulation import billing
from tests.simulation.ledger import Ledger
from tests.simulation.play import Play

PAID = datetime(2026, 11, 19, 15, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 20, tzinfo=UTC)
ON_TIME, A_DAY_LATE = MIDNIGHT + timedelta(hours=12), MIDNIGHT + timedelta(hours=36)
SECONDS, HOURS = timedelta(seconds=30), timedelta(hours=1)


def _judged(told: int, *, at: datetime, refunded_at: datetime) -> list[str]:
    """Which rules it breaks to tell of 3900 paid and 1300 refunded as `told`, at `at`, with no report after it."""
    event = {
        "identifier": "phantom:mer:gbp:2026-11-19",
        "event_name": f"{billing.METER}_gbp",
        "payload": {"value": str(told)},
        "timestamp": (MIDNIGHT - HOURS).timestamp(),
        "created": at.timestamp(),
    }
    rows: list[dict[str, Any]] = [
        {"kind": "recovered", "currency": "gbp", "amount_cents": 3900, "recorded_at": PAID},
        {"kind": "reversed", "currency": "gbp", "amount_cents": -1300, "recorded_at": refunded_at},
    ]
    meters = SimpleNamespace(table=lambda _name: SimpleNamespace(objects={"": event}))
    world = SimpleNamespace(settings=SimpleNamespace(platform_account="acct"), space=lambda _account: meters)
    ledger = Ledger()
    billing.at_the_end(cast("Play", SimpleNamespace(world=world, ledger=ledger, quiet_at=at.timestamp())), rows)
    return [violation.partition(":")[0] for violation in ledger.violations]


@pytest.mark.parametrize("told", [2600, 3900])
@pytest.mark.parametrize("refunded_at", [MIDNIGHT - SECONDS, MIDNIGHT + SECONDS])
def test_a_refund_at_midnight_is_of_the_day_that_ends_or_of_the_one_that_begins(
    told: int, refunded_at: datetime
) -> None:
    assert _judged(told, at=ON_TIME, refunded_at=refunded_at) == []


def test_one_before_midnight_is_taken_off() -> None:
    assert _judged(3900, at=ON_TIME, refunded_at=MIDNIGHT - HOURS) == ["never more usage than there was"]


def test_one_after_midnight_takes_nothing_off_the_day_before() -> None:
    assert _judged(2600, at=ON_TIME, refunded_at=MIDNIGHT + HOURS) == ["all usage is told"]


def test_more_than_was_paid_is_too_much_whenever_it_is_told() -> None:
    assert _judged(3901, at=A_DAY_LATE, refunded_at=MIDNIGHT + HOURS) == ["never more usage than there was"]
