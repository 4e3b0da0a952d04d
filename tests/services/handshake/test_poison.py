"""A webhook whose invoice is odd ends as `unreadable`: it is told once, and never tried again."""

from typing import Any

import pytest

from core.clock import ManualClock
from models.audit import SystemLog
from services.handshake import handlers
from tests.support.shop import Shop


@pytest.mark.parametrize(
    "poison",
    [
        {"amount_due": 2**63 + 5},
        {"attempt_count": 2**40},
        {"created": 10**18},
        {"currency": "ÄÖÜ"},
        {"amount_remaining": "4900"},
    ],
)
def test_a_poisoned_invoice_is_unreadable(
    database: object, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, poison: dict[str, Any]
):
    shop = Shop.open(clock, monkeypatch)
    subscription = shop.subscriber(decline_code="insufficient_funds")
    shop.world.clockwork.advance_to(shop.world.now() + 31 * 86_400 + 7200)
    failed = [each for each in shop.take() if each.type == "invoice.payment_failed"]
    shop.invoice(subscription).update(poison)
    assert [shop.handle(each) for each in failed] == ["unreadable"]
    assert shop.ghosts == []
    assert "handshake.unreadable" in {entry.event for entry in shop.rows(SystemLog)}


@pytest.mark.parametrize("amount", ["4900", 1.5, -1, 2**63, {"of": 4900}])
def test_a_refund_of_no_amount_is_unreadable(
    database: object, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, amount: Any
):
    shop = Shop.open(clock, monkeypatch)
    shop.subscriber()
    charge = next(iter(shop.world.space(shop.account).table("charge").objects.values()))
    shop.actions.refund(shop.account, charge["id"])
    next(iter(shop.world.space(shop.account).table("refund").objects.values()))["amount"] = amount
    shop.pass_time(hours=1)
    event = handlers.IncomingEvent("evt_1", "charge.refunded", shop.account, shop.merchant, clock.now(), dict(charge))
    assert handlers.handle(event) == "unreadable"
