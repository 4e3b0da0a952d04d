"""Invoices that several payments paid: what goes back of one takes what that one brought, and nothing of the others."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import db
from core.clock import ManualClock
from models.ghost import GhostState
from models.money import DailyMetrics, PaymentPart
from services.integrations.stripe.facts import PaymentFacts
from services.recovery.credit.shares import brought_by_each
from tests.support.in_parts import failed, hunts, opened, owes, pay_part, pay_the_rest, refund, standing
from tests.support.shop import Shop

FOUND_AT = datetime(2026, 3, 2, 9, tzinfo=UTC)


@pytest.fixture
def shop(database: object, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    yield from opened(clock, monkeypatch)


@pytest.mark.parametrize("unheard", [False, True])
class TestWhichPaymentWentBack:
    def test_one_from_before_it_was_found_takes_nothing(self, shop: Shop, unheard: bool):
        invoice, early = failed(shop, 2000)
        rest = pay_the_rest(shop, invoice)
        assert standing(shop) == [(GhostState.RECOVERED, 2900)]
        refund(shop, early, unheard=unheard)
        hunts(shop)
        assert standing(shop) == [(GhostState.RECOVERED, 2900)]
        refund(shop, rest, unheard=unheard)
        hunts(shop)
        assert standing(shop) == [(GhostState.REVERSED, 0)]

    def test_each_takes_what_it_had_brought_and_both_take_all(self, shop: Shop, unheard: bool):
        invoice, _ = failed(shop)
        part = pay_part(shop, invoice, 2000, "part")
        shop.pass_time(hours=1)
        rest = pay_the_rest(shop, invoice)
        assert standing(shop) == [(GhostState.RECOVERED, 4900)]
        refund(shop, part, 500, unheard=unheard)
        hunts(shop)
        assert standing(shop) == [(GhostState.RECOVERED, 4400)]
        refund(shop, part, unheard=unheard)
        hunts(shop)
        assert standing(shop) == [(GhostState.RECOVERED, 2900)]
        refund(shop, rest, unheard=unheard)
        hunts(shop)
        assert standing(shop) == [(GhostState.REVERSED, 0)]

    def test_of_one_that_paid_for_more_only_what_was_put_to_it(self, shop: Shop, unheard: bool):
        """20.00 of 49.00 came from a payment of 100.00."""
        invoice, _ = failed(shop)
        part = pay_part(shop, invoice, 2000, "part", charged=10000)
        shop.pass_time(hours=1)
        pay_the_rest(shop, invoice)
        refund(shop, part, 5000, unheard=unheard)
        hunts(shop)
        assert standing(shop) == [(GhostState.RECOVERED, 3900)]
        refund(shop, part, unheard=unheard)
        hunts(shop)
        assert standing(shop) == [(GhostState.RECOVERED, 2900)]

    def test_one_that_went_back_while_the_rest_was_open(self, shop: Shop, unheard: bool):
        """Stripe may leave what was paid as it is: whoever counts all of it has to see that a part is gone."""
        invoice, _ = failed(shop)
        part = pay_part(shop, invoice, 2000, "part")
        shop.pass_time(hours=1)
        refund(shop, part, unheard=unheard)
        pay_the_rest(shop, invoice)
        hunts(shop)
        assert standing(shop) == [(GhostState.RECOVERED, 2900)]

    def test_one_that_went_back_and_was_paid_once_more(self, shop: Shop, unheard: bool):
        """... or takes it off again: then all that counts came from the payment after it."""
        invoice, _ = failed(shop)
        part = pay_part(shop, invoice, 2000, "part")
        shop.pass_time(hours=1)
        refund(shop, part, unheard=unheard)
        owes(shop, invoice, 0)
        pay_the_rest(shop, invoice)
        hunts(shop)
        assert standing(shop) == [(GhostState.RECOVERED, 4900)]


class TestDisputed:
    def test_a_lost_dispute_over_a_part_is_found_by_the_next_hunt(self, shop: Shop):
        invoice, _ = failed(shop)
        part = pay_part(shop, invoice, 2000, "part")
        shop.pass_time(hours=1)
        pay_the_rest(shop, invoice)
        dispute = shop.actions.open_dispute(shop.account, part)
        shop.take()
        hunts(shop)
        assert standing(shop) == [(GhostState.RECOVERED, 4900)]
        shop.actions.close_dispute(shop.account, dispute["id"], won=False)
        shop.take()
        hunts(shop)
        assert standing(shop) == [(GhostState.RECOVERED, 2900)]


class TestWhatIsKept:
    def test_nothing_of_what_one_payment_paid(self, shop: Shop):
        invoice, _ = failed(shop)
        pay_the_rest(shop, invoice)
        assert shop.rows(PaymentPart) == []

    def test_what_was_recovered_before_anything_was_kept_is_learned_when_it_is_read(self, shop: Shop):
        invoice, early = failed(shop, 2000)
        pay_the_rest(shop, invoice)
        with db.tenant_session(shop.merchant) as session:
            for each in shop.rows(PaymentPart):
                session.delete(session.merge(each))
        refund(shop, early)
        assert standing(shop) == [(GhostState.RECOVERED, 2900)]
        assert sorted(each.amount_cents for each in shop.rows(PaymentPart)) == [0, 2900]


class TestPaidBeforeAndGivenBack:
    def test_all_that_is_paid_then_came_back(self, shop: Shop):
        """A debit that had paid 20.00 bounced after the ghost was found with 29.00 open."""
        invoice, _ = failed(shop, 2000)
        shop.pass_time(days=3)
        owes(shop, invoice, 0)
        shop.pass_time(hours=1)
        (ghost,) = shop.ghosts
        assert (ghost.amount_cents, ghost.found_cents, ghost.paid_before_cents) == (4900, 4900, 0)
        assert sum(row.found_cents for row in shop.rows(DailyMetrics)) == 4900
        pay_the_rest(shop, invoice)
        assert standing(shop) == [(GhostState.RECOVERED, 4900)]


def at(days: int) -> datetime:
    return FOUND_AT + timedelta(days=days)


class TestBroughtByEach:
    def test_what_was_paid_before_brought_nothing(self):
        payments = [PaymentFacts("pi_late", 2900, at(2)), PaymentFacts("pi_early", 2000, at(-3))]
        found = brought_by_each(payments, recovered=2900, paid_before=2000, found_at=FOUND_AT)
        assert [(each.payment_intent_id, amount) for each, amount in found] == [("pi_early", 0), ("pi_late", 2900)]

    def test_what_was_paid_before_outside_stripe_is_no_part_of_a_later_payment(self):
        payment = PaymentFacts("pi_late", 2900, at(2))
        assert brought_by_each([payment], recovered=2900, paid_before=2000, found_at=FOUND_AT) == [(payment, 2900)]

    @given(
        st.lists(st.tuples(st.integers(0, 10**9), st.integers(-9, 9)), max_size=5),
        st.integers(0, 10**9),
        st.integers(0, 10**9),
    )
    def test_never_more_than_each_paid_nor_than_was_recovered(
        self, paid: list[tuple[int, int]], recovered: int, before: int
    ):
        payments = [PaymentFacts(f"pi_{place}", amount, at(day)) for place, (amount, day) in enumerate(paid)]
        found = brought_by_each(payments, recovered=recovered, paid_before=before, found_at=FOUND_AT)
        assert all(0 <= amount <= each.amount for each, amount in found)
        assert sum(amount for _, amount in found) <= recovered
        since = sum(each.amount for each in payments if each.paid_at > FOUND_AT)
        assert sum(amount for _, amount in found) >= min(since, recovered)
        assert sorted(each.payment_intent_id or "" for each, _ in found) == [
            f"pi_{place}" for place in range(len(paid))
        ]
