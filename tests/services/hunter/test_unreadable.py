"""What a hunt or a webhook could not read is kept by kind and API shape, and goes when it can be read again."""

from datetime import timedelta

import pytest

from core import db
from core.clock import ManualClock
from models.health import ReadVia
from services.audit import unreadable
from services.hunter.schemas import HuntRequest
from tests.services.hunter.test_hunt import account, hunt
from tests.support.factories import make_merchant, raw_acacia_invoice
from tests.support.shop import Shop

Kind = tuple[ReadVia, str, str, int, tuple[str, ...]]


@pytest.fixture
def merchant(database: object, clock: ManualClock) -> str:
    return make_merchant()


def kinds(merchant: str) -> list[Kind]:
    with db.tenant_session(merchant) as session:
        found = unreadable.list_kinds(session, merchant)
    return sorted((each.via, each.reason, each.shape, each.number, each.examples) for each in found)


class TestHunts:
    def test_count_by_reason_and_shape(self, merchant: str) -> None:
        stripe = account(3)
        stripe.lists["invoices_open"][1]["currency"] = None
        stripe.lists["invoices_open"].append(raw_acacia_invoice(9, status=None))
        hunt(merchant, stripe)
        named = stripe.lists["invoices_open"][1]["id"]
        assert kinds(merchant) == [
            (ReadVia.HUNT, "no_currency", "basil", 1, (named,)),
            (ReadVia.HUNT, "no_status", "acacia", 1, ("in_9",)),
        ]

    def test_the_next_one_counts_anew_and_forgets_what_can_be_read(self, merchant: str) -> None:
        stripe = account(150)
        for number in (2, 120):  # on two pages
            stripe.lists["invoices_open"][number]["currency"] = None
        stripe.lists["invoices_open"][5]["status"] = None
        hunt(merchant, stripe)
        assert [each[3] for each in kinds(merchant)] == [2, 1]
        stripe.lists["invoices_open"][2]["currency"] = "usd"
        stripe.lists["invoices_open"][5]["status"] = "open"
        hunt(merchant, stripe)
        assert [each[1:4] for each in kinds(merchant)] == [("no_currency", "basil", 1)]

    def test_one_of_a_window_did_not_look_everywhere_and_forgets_nothing(
        self, merchant: str, clock: ManualClock
    ) -> None:
        stripe = account(2)
        stripe.lists["invoices_open"][0]["currency"] = None
        hunt(merchant, stripe)
        stripe.lists["invoices_open"] = []
        window = HuntRequest(trigger="audit", since=clock.now() - timedelta(days=2), until=clock.now(), audit=True)
        hunt(merchant, stripe, window)
        assert len(kinds(merchant)) == 1


def test_a_webhook_names_what_it_was_about(
    database: object, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop.open(clock, monkeypatch)
    subscription = shop.subscriber(decline_code="insufficient_funds")
    shop.world.clockwork.advance_to(shop.world.now() + 31 * 86_400 + 7200)
    failed = [each for each in shop.take() if each.type == "invoice.payment_failed"]
    invoice = shop.invoice(subscription)
    invoice["amount_due"] = "4900"
    assert [shop.handle(each) for each in failed] == ["unreadable"]
    assert kinds(shop.merchant) == [(ReadVia.WEBHOOK, "no_amount_due", "basil", 1, (invoice["id"],))]
