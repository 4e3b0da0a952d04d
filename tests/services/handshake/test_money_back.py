"""Money that went back of a payment of several invoices: one of them that is odd hides no other."""

import pytest

from core.clock import ManualClock
from models.ghost import GhostState
from tests.services.recovery.credit.test_failed_refunds import paid_together
from tests.support.recount import assert_sums_agree
from tests.support.shop import Shop


@pytest.fixture
def shop(database: object, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Shop:
    shop = Shop.open(clock, monkeypatch)
    shop.actions.set_rules(shop.account, retry_days=[])
    return shop


@pytest.mark.parametrize("odd", ["unreadable", "object_missing"])
@pytest.mark.parametrize("which", [0, 1])
def test_the_others_are_taken_back_and_what_is_odd_is_told(shop: Shop, odd: str, which: int):
    customer = shop.subscriber()["customer"]
    price = shop.actions.create_price(shop.account, unit_amount=901, currency="usd")
    shop.actions.create_subscription(shop.account, customer, price["id"])
    bad = shop.actions.create_card(shop.account, decline_code="expired_card")
    shop.actions.attach_payment_method(shop.account, bad["id"], customer, default=True)
    shop.pass_time(days=31, hours=2)
    invoices = [ghost.invoice_id for ghost in sorted(shop.ghosts, key=lambda ghost: -ghost.amount_cents)]
    charge = paid_together(shop, *invoices)
    if odd == "unreadable":
        shop.actions.edit_object(shop.account, "invoice", invoices[which], {"currency": "?"})
    else:
        shop.world.space(shop.account).table("invoice").remove(invoices[which])
    shop.pass_time(days=1)
    shop.actions.refund(shop.account, charge)
    (told,) = [each for each in shop.take() if each.type == "charge.refunded"]
    assert shop.handle(told) == odd
    assert {ghost.state for ghost in shop.ghosts} == {GhostState.REVERSED}
    assert_sums_agree(shop.merchant, billed=False)
