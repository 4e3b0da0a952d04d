"""Money, Stripe calls and hunts are counted as they happen, and money only when it is committed."""

import pytest

from core import db, metrics
from core.clock import ManualClock
from jobs.hunt import hunt
from services.hunter.schemas import HuntRequest
from tests.support.shop import Shop

pytestmark = pytest.mark.usefixtures("database", "redis_url")


@pytest.fixture
def shop(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Shop:
    return Shop.open(clock, monkeypatch)


def told(sample: str) -> float:
    lines = metrics.render().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(sample))


def money(event: str, currency: str) -> tuple[float, float]:
    """Minor units and how often."""
    labels = f'{{currency="{currency}",event="{event}"'
    return told(f"phantom_money_minor_units_total{labels}"), told(f"phantom_money_events_total{labels}")


class TestMoney:
    def test_found_recovered_and_by_whose_merit(self, shop: Shop) -> None:
        subscription = shop.subscriber(amount=4900, currency="sek", decline_code="insufficient_funds")
        shop.pass_time(days=31, hours=2)
        assert money("found", "sek") == (4900, 1)
        card = shop.actions.create_card(shop.account, "visa")
        shop.actions.pay_invoice(shop.account, shop.invoice(subscription)["id"], card["id"])
        shop.deliver()
        assert money("recovered", "sek") == (4900, 1)
        assert told('phantom_money_events_total{currency="sek",event="recovered",mechanism="organic"}') == 1
        assert money("reversed", "sek") == (0, 0)

    def test_not_what_was_rolled_back(self, shop: Shop) -> None:
        seen: list[str] = []
        with db.tenant_session(shop.merchant) as session:
            db.after_commit(session, lambda: seen.append("kept"))
            assert seen == []
        assert seen == ["kept"]
        with db.tenant_session(shop.merchant) as session:
            db.after_commit(session, lambda: seen.append("lost"))
            session.rollback()
        assert seen == ["kept"]


class TestCalls:
    def test_a_hunt_and_its_calls(self, shop: Shop) -> None:
        hunts = 'phantom_hunt_seconds_count{outcome="ok",trigger="'
        calls = 'phantom_stripe_request_seconds_count{method="get",outcome="200"}'
        before = told(hunts + "audit"), told(hunts + "other"), told(calls)
        hunt(shop.merchant, HuntRequest(trigger="audit"))
        hunt(shop.merchant, HuntRequest(trigger="never heard of"))
        assert told(hunts + "audit") == before[0] + 1
        assert told(hunts + "other") == before[1] + 1
        assert told(calls) > before[2]
