"""The operator bills the merchant by what is recovered: told to a meter once, and in the end as much as there was."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from core import db
from services.outbound import usage
from tests.simulation.scenario import PLACES

if TYPE_CHECKING:
    from tests.simulation.play import Play

METER = "phantom_recovered"  # one a currency
_TRIFLE = timedelta(minutes=1)  # a row and its entry among the activities are two looks at the clock


def begin(play: "Play") -> None:
    """The operator has a meter a currency, and the merchant is a customer of its."""
    platform = play.world.settings.platform_account
    for currency in sorted({place[1] for place in PLACES}):
        name = f"{METER}_{currency}"
        given = {"display_name": name, "event_name": name, "default_aggregation[formula]": "sum"}
        play.shop.as_platform("POST", "/v1/billing/meters", urlencode(given))
    customer = play.actions.create_customer(platform, name="Northwind", email="billing@example.com")["id"]
    with db.tenant_session(play.merchant) as session:
        usage.bill(session, play.merchant, customer)


def at_the_end(play: "Play", rows: list[dict[str, Any]]) -> None:
    """What the meters hold, event by event, against what the ledger held by the end of the day before each."""
    events = list(play.world.space(play.world.settings.platform_account).table("billing.meter_event").objects.values())
    play.ledger.came_of_it["usage reports"] += len(events)
    for name, times in Counter(event["identifier"] for event in events).items():
        if times > 1:
            play.ledger.violated("a day's usage is told once", f"{name} was, {times} times")
    money = [row for row in rows if row["kind"] in ("recovered", "reversed")]
    for currency in sorted({row["currency"] for row in money}):
        told = 0
        mine = [row for row in money if row["currency"] == currency]
        for event in (one for one in events if one["event_name"] == f"{METER}_{currency}"):
            told += int(event["payload"]["value"])
            if told > _most(mine, _day(event["timestamp"]), _day(event["created"])):
                play.ledger.violated("never more usage than there was", f"{told} {currency} with {event}")
        owed = _least(mine, _day(play.quiet_at))  # of the days that were over at the last report
        if told < owed:
            play.ledger.violated("all usage is told", f"{told} of {owed} {currency}")


def _day(moment: float) -> datetime:
    return datetime.fromtimestamp(moment, UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _most(rows: list[dict[str, Any]], told_of: datetime, told_on: datetime) -> int:
    """The most that was ever owed between the end of the day that is told of and the day on which it was told."""
    nights = range((told_on - told_of).days)
    midnights = [told_on - timedelta(days=night) for night in nights]
    return max((_net(rows, come=one + _TRIFLE, gone=one - _TRIFLE) for one in midnights), default=0)


def _least(rows: list[dict[str, Any]], midnight: datetime) -> int:
    """The least that was owed then: what is within a trifle of it may belong to either day."""
    return _net(rows, come=midnight - _TRIFLE, gone=midnight + _TRIFLE)


def _net(rows: list[dict[str, Any]], *, come: datetime, gone: datetime) -> int:
    """What had come back before `come` less what had gone back before `gone`, minor units."""
    return sum(row["amount_cents"] for row in rows if row["recorded_at"] < (come if row["amount_cents"] > 0 else gone))
