"""Several refunds and disputes of one payment out of several: together they take what it brought, and no more."""

from collections.abc import Iterator

import pytest

from core.clock import ManualClock
from models.ghost import GhostState
from models.money import Recovery
from tests.support.in_parts import failed, hunts, lose_dispute, opened, pay_part, pay_the_rest, refund, standing
from tests.support.shop import Shop


@pytest.fixture
def shop(database: object, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    yield from opened(clock, monkeypatch)


def paid_in_two(shop: Shop, charged: int = 0) -> str:
    """The charge of 20.00 out of 49.00, or of more of which that much was put to the invoice."""
    invoice, _ = failed(shop)
    part = pay_part(shop, invoice, 2000, "part", charged=charged)
    shop.pass_time(hours=1)
    pay_the_rest(shop, invoice)
    return part


@pytest.mark.parametrize("unheard", [False, True])
class TestRefundedAndDisputed:
    @pytest.mark.parametrize("refunded", [2000, 1000])
    def test_a_dispute_over_what_was_refunded_takes_what_that_had_left(self, shop: Shop, refunded: int, unheard: bool):
        part = paid_in_two(shop)
        refund(shop, part, refunded)
        assert standing(shop) == [(GhostState.RECOVERED, 4900 - refunded)]
        lose_dispute(shop, part, unheard=unheard)
        hunts(shop)
        assert standing(shop) == [(GhostState.RECOVERED, 2900)]
        assert {row.payment_intent_id for row in shop.rows(Recovery) if row.amount_cents < 0} == {"pi_part"}

    def test_a_dispute_over_half_of_one_that_paid_for_more_takes_half(self, shop: Shop, unheard: bool):
        part = paid_in_two(shop, charged=10000)
        lose_dispute(shop, part, 5000, unheard=unheard)
        hunts(shop)
        assert standing(shop) == [(GhostState.RECOVERED, 3900)]


class TestManySmallOnes:
    def test_each_gives_what_it_makes_of_their_sum(self, shop: Shop):
        """20.00 of a payment of 100.00: ten refunds of 0.02 take 0.04 of it."""
        part = paid_in_two(shop, charged=10000)
        for _ in range(10):
            refund(shop, part, 2)
        assert standing(shop) == [(GhostState.RECOVERED, 4896)]
        hunts(shop)
        assert standing(shop) == [(GhostState.RECOVERED, 4896)]
        refund(shop, part)
        assert standing(shop) == [(GhostState.RECOVERED, 2900)]
