"""An invoice that several payments paid, of which one is undone and paid again: what had gone back of the others stays
gone, and nothing is taken for what was undone itself."""

from collections.abc import Iterator

import pytest

from core.clock import ManualClock
from models.ghost import GhostState
from models.money import Recovery
from tests.support.in_parts import failed, hunts, opened, pay_part, pay_the_rest, refund, standing, undo_the_rest
from tests.support.shop import Shop


@pytest.fixture
def shop(database: object, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    yield from opened(clock, monkeypatch)


def amounts(shop: Shop) -> list[int]:
    return [row.amount_cents for row in sorted(shop.rows(Recovery), key=lambda row: row.id)]


def paid_in_two(shop: Shop) -> tuple[str, str, str]:
    """20.00 and the rest of an invoice: the invoice, and both charges."""
    invoice, _ = failed(shop)
    part = pay_part(shop, invoice, 2000, "part")
    shop.pass_time(hours=1)
    return invoice, part, pay_the_rest(shop, invoice)


class TestThePartThatStayed:
    def test_what_went_back_of_it_is_recovered_by_nobody_who_pays_the_rest_again(self, shop: Shop):
        invoice, part, _ = paid_in_two(shop)
        refund(shop, part)
        assert standing(shop) == [(GhostState.RECOVERED, 2900)]
        shop.pass_time(days=2)
        undo_the_rest(shop, invoice, 2000)
        hunts(shop)
        assert standing(shop)[0][1] == 0
        pay_the_rest(shop, invoice)
        hunts(shop)
        assert standing(shop) == [(GhostState.RECOVERED, 2900)]
        hunts(shop)
        assert amounts(shop) == [4900, -2000, -2900, 4900, -2000]

    def test_what_came_back_of_it_then_is_given_back_once(self, shop: Shop):
        invoice, part, _ = paid_in_two(shop)
        made = shop.actions.refund(shop.account, part)
        shop.deliver()
        shop.pass_time(days=2)
        undo_the_rest(shop, invoice, 2000)
        pay_the_rest(shop, invoice)
        hunts(shop)
        assert standing(shop) == [(GhostState.RECOVERED, 2900)]
        shop.actions.fail_refund(shop.account, made["id"])
        shop.deliver()
        hunts(shop)
        assert standing(shop) == [(GhostState.RECOVERED, 4900)]

    def test_where_the_payment_after_it_brought_all_nothing_of_that_goes_back(self, shop: Shop):
        """Stripe took off what was refunded: it is owed again, and paid by the new payment alone."""
        invoice, part, _ = paid_in_two(shop)
        refund(shop, part)
        shop.pass_time(days=2)
        undo_the_rest(shop, invoice, 0)
        pay_the_rest(shop, invoice)
        hunts(shop)
        assert standing(shop) == [(GhostState.RECOVERED, 4900)]


class TestTheOneThatWasUndone:
    """Its next charge is made for the same payment, and what had gone back of the first one was undone with it."""

    def test_what_went_back_of_it_takes_nothing_of_its_next_charge(self, shop: Shop):
        invoice, _, rest = paid_in_two(shop)
        refund(shop, rest, 1000)
        assert standing(shop) == [(GhostState.RECOVERED, 3900)]
        shop.pass_time(days=2)
        undo_the_rest(shop, invoice, 2000)
        again = pay_the_rest(shop, invoice)
        hunts(shop)
        assert standing(shop) == [(GhostState.RECOVERED, 4900)]
        refund(shop, again, 700)
        hunts(shop)
        assert standing(shop) == [(GhostState.RECOVERED, 4200)]

    def test_nor_where_it_was_the_only_one(self, shop: Shop):
        invoice, _ = failed(shop)
        refund(shop, pay_the_rest(shop, invoice), 1000)
        assert standing(shop) == [(GhostState.RECOVERED, 3900)]
        shop.pass_time(days=2)
        undo_the_rest(shop, invoice, 0)
        again = pay_the_rest(shop, invoice)
        hunts(shop)
        assert standing(shop) == [(GhostState.RECOVERED, 4900)]
        refund(shop, again)
        hunts(shop)
        assert standing(shop) == [(GhostState.REVERSED, 0)]


class TestOneThatPaidNothingOfIt:
    def test_what_was_paid_before_takes_nothing_where_its_payments_cannot_be_read(self, shop: Shop):
        invoice, early = failed(shop, 2000)
        odd = shop.world.space(shop.account).table("invoice_payment").objects["inpay_early"]
        odd |= {"amount_paid": "?"}
        pay_the_rest(shop, invoice)
        assert standing(shop) == [(GhostState.RECOVERED, 2900)]
        refund(shop, early)
        hunts(shop)
        assert standing(shop) == [(GhostState.RECOVERED, 2900)]
